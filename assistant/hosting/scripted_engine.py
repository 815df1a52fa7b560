"""An engine without a model: replies are read from a script, so that everything around a model can be tried exactly."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from assistant.errors import HostError, ModelError, OutOfMemory
from assistant.hosting.byte_tokenizer import ByteTokenizer
from assistant.hosting.engine import EngineInfo, EngineRequest, Finish, Piece, TokenScore
from assistant.hosting.script import CONTROLS, END, Rule, Script, read
from assistant.models.spec import ModelSpec
from assistant.wire import Usage

_FILL = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")


def open(spec: ModelSpec, report: Callable[[float], None]) -> ScriptedEngine:
    """The engine that plays the script at `spec.path`; `report` hears the fraction loaded.

    Raises:
        ModelError: the file is missing or is no script, or the script itself says that loading fails.
    """
    script = read(spec.path)
    for step in range(1, 11):
        time.sleep(script.load_ms / 10_000)
        report(step / 10)
    if script.kill:
        _crash(script.kill)
    if script.fail:
        raise ModelError(script.fail, "Choose another model.")
    return ScriptedEngine(script, spec.context_length or script.context_length)


@dataclass(slots=True)
class ScriptedEngine:
    """Plays a script.  It counts how often each rule was used, and remembers prompts to tell what a cache would save."""

    script: Script
    context_length: int
    tokenizer: ByteTokenizer = field(init=False)
    _seen: list[tuple[int, ...]] = field(default_factory=list)
    _used: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        controls = (*CONTROLS[self.script.template], END, *(_FILL if self.script.fill else ()))
        self.tokenizer = ByteTokenizer(controls)

    @property
    def info(self) -> EngineInfo:
        end = self.tokenizer.control_id(END)
        ends = frozenset() if end is None else frozenset({end})
        return EngineInfo(self.context_length, ends, self.script.slots, "scripted, no model", self.tokenizer.size)

    def stream(self, request: EngineRequest, cancelled: Callable[[], bool]) -> Iterator[Piece | Finish]:
        """Play the first rule that fits; see `Engine.stream`."""
        rule, reply = self._choose(self.tokenizer.decode(request.prompt))
        if rule.oom:
            raise OutOfMemory("The request needs 9.0 GB, and 1.0 GB is free.", "Send a shorter prompt.")
        cached = self._cached(request.prompt)
        done, reason = 0, rule.reason
        whole = _wait(rule.prefill_ms, cancelled)
        tokens = reply.encode()[: request.max_tokens]
        for piece in _pieces(tokens):
            if rule.crash and done >= rule.crash_after:
                _crash(rule.crash)
            whole = whole and _wait(rule.delay_ms * len(piece.ids), cancelled)
            if not whole:
                break
            done += len(piece.ids)
            yield replace(piece, scores=_scores(rule, tokens[:done], piece, request.alternatives))
        if rule.crash and whole:
            _crash(rule.crash)
        reason = "cancelled" if not whole or cancelled() else "length" if done < len(reply.encode()) else reason
        accepted = _common(tuple(tokens), request.prediction)
        rejected = max(0, len(request.prediction) - accepted)
        yield Finish(reason, Usage(len(request.prompt), done, cached, min(done, accepted), rejected))

    def score(self, ids: tuple[int, ...], top: int, cancelled: Callable[[], bool]) -> Iterator[tuple[TokenScore, ...]]:
        """See `Scorer`: made up, but for a text whose bytes are in order the likeliest token is always the next byte."""
        for before, token in pairwise(ids):
            if cancelled():
                return
            likeliest = tuple((before + 1 + rank, -0.1 * (rank + 1)) for rank in range(top))
            yield (TokenScore(-0.1 if token == before + 1 else -2.0 - token / 1000, likeliest),)

    def close(self) -> None:
        """Nothing is held."""

    def _choose(self, prompt: str) -> tuple[Rule, str]:
        fitting = (place for place, rule in enumerate(self.script.rules) if re.search(rule.match, prompt))
        place = next(fitting, -1)
        rule = self.script.rules[place] if place >= 0 else Rule()
        with self._lock:
            turn = self._used[place] = self._used.get(place, -1) + 1
        if rule.echo:
            return rule, _last_user_text(prompt)
        return rule, rule.reply if isinstance(rule.reply, str) else rule.reply[min(turn, len(rule.reply) - 1)]

    def _cached(self, prompt: tuple[int, ...]) -> int:
        with self._lock:
            cached = max((_common(prompt, seen) for seen in self._seen), default=0)
            self._seen = [*self._seen[-7:], prompt]
        return min(cached, len(prompt) - 1)


def _pieces(tokens: bytes) -> Iterator[Piece]:
    """One piece for each character; a character of several bytes is one piece of several ids."""
    start = 0
    for end in range(1, len(tokens) + 1):
        if end == len(tokens) or tokens[end] & 0xC0 != 0x80:
            yield Piece(tokens[start:end].decode(errors="ignore"), tuple(tokens[start:end]))
            start = end


def _scores(rule: Rule, written: bytes, piece: Piece, count: int) -> tuple[TokenScore | None, ...]:
    """Sure of everything, but for what the rule hesitates over; `written` ends in the piece."""
    if not count:
        return ()
    before, sure = written.decode(errors="ignore")[: -len(piece.text)], (piece.ids[-1], -0.01)
    others = [
        (ord(other), -1.0 - rank / 10)
        for after, all_others in rule.hesitates.items()
        if before.endswith(after)
        for rank, other in enumerate(all_others)
    ]
    return (*(None for _ in piece.ids[1:]), TokenScore(-0.01, (sure, *others)[:count]))


def _wait(milliseconds: float, cancelled: Callable[[], bool]) -> bool:
    """Sleep in steps of at most 5 ms; False once cancelled."""
    end = time.monotonic() + milliseconds / 1000
    while not cancelled():
        left = end - time.monotonic()
        if left <= 0:
            return True
        time.sleep(min(left, 0.005))
    return False


def _last_user_text(prompt: str) -> str:
    opened = re.split(r"<\|user\|>\n|<\|im_start\|>user\n", prompt)[-1]
    return re.split(r"<\|end\|>|<\|im_end\|>", opened)[0]


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _crash(manner: str) -> None:
    if manner == "exit":
        os._exit(3)
    number = {"kill": getattr(signal, "SIGKILL", signal.SIGTERM), "segv": signal.SIGSEGV, "abort": signal.SIGABRT}.get(manner)
    if number is None:
        raise HostError(f"The script names the unknown crash {manner!r}.", "Use kill, segv, abort or exit.")
    os.kill(os.getpid(), number)
    time.sleep(5)
