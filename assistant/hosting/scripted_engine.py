"""An engine without a model: replies are read from a file, so that everything around a model can be tried exactly.

`scripted:FILE` as a model opens one.  The file is JSON; every key may be left out:

    {
      "context_length": 4096,        tokens of the window
      "slots": 1,                    streams at once
      "template": "starchat",        which control tokens it has: "starchat", "chatml" or "none"
      "fill": true,                  whether it has fill-in-the-middle tokens
      "load_ms": 0,                  time that loading takes
      "fail": "no such weights",     loading fails with this message
      "kill": "segv",                loading ends the process ("kill", "segv", "abort" or "exit")
      "rules": [
        {
          "match": "regex",          searched for in the decoded prompt; without it the rule always fits
          "reply": "text",           or a list: one text for each request in turn, the last for all that follow
          "echo": true,              the reply is the text after the last opened user turn, instead of "reply"
          "prefill_ms": 0,           time until the first token, cancelled between milliseconds
          "delay_ms": 0,             time for each token
          "reason": "stop",          or "length", "loop"
          "crash": "segv",           the process ends: "kill", "segv", "abort" or "exit" …
          "crash_after": 0,          … after so many tokens
          "oom": true                refused for want of memory
        }
      ]
    }

The first rule that fits is played; where none does, the reply is "ok".  Tokens are the bytes of UTF-8 (ids 0 to 255); control
tokens follow from id 256 on.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from assistant.errors import HostError, ModelError, OutOfMemory
from assistant.hosting.byte_tokenizer import ByteTokenizer
from assistant.hosting.engine import EngineInfo, EngineRequest, Finish, Piece
from assistant.models.spec import ModelSpec
from assistant.wire import FinishReason, Usage

_END = "<|endoftext|>"
_CONTROLS: Mapping[str, tuple[str, ...]] = {
    "starchat": ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "none": (),
}
_FILL = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the script; see the module for its keys."""

    match: str = ""
    reply: str | list[str] = "ok"
    echo: bool = False
    prefill_ms: float = 0
    delay_ms: float = 0
    reason: FinishReason = "stop"
    crash: str = ""
    crash_after: int = 0
    oom: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """The whole file; see the module for its keys."""

    context_length: int = 4096
    slots: int = 1
    template: str = "starchat"
    fill: bool = True
    load_ms: float = 0
    fail: str = ""
    kill: str = ""
    rules: tuple[Rule, ...] = ()


def open(spec: ModelSpec, report: Callable[[float], None]) -> ScriptedEngine:
    """The engine that plays the script at `spec.path`; `report` hears the fraction loaded.

    Raises:
        ModelError: the file is missing or is no script, or the script itself says that loading fails.
    """
    script = _read(spec)
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
        controls = (*_CONTROLS[self.script.template], _END, *(_FILL if self.script.fill else ()))
        self.tokenizer = ByteTokenizer(controls)

    @property
    def info(self) -> EngineInfo:
        end = self.tokenizer.control_id(_END)
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
            yield piece
        if rule.crash and whole:
            _crash(rule.crash)
        reason = "cancelled" if not whole or cancelled() else "length" if done < len(reply.encode()) else reason
        accepted = _common(tuple(tokens), request.prediction)
        rejected = max(0, len(request.prediction) - accepted)
        yield Finish(reason, Usage(len(request.prompt), done, cached, min(done, accepted), rejected))

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


def _read(spec: ModelSpec) -> Script:
    try:
        raw: dict[str, Any] = json.loads(spec.path.read_text(encoding="utf-8"))
        script = Script(**{**raw, "rules": tuple(Rule(**rule) for rule in raw.get("rules", ()))})
    except OSError as error:
        raise ModelError(f"The script {spec.path} cannot be read: {error.strerror}.", "Give the path of a script.") from error
    except (ValueError, TypeError, AttributeError) as error:
        keys = ", ".join(one.name for one in fields(Script))
        raise ModelError(f"{spec.path} is not a script: {error}.", f"Its keys are {keys}.") from error
    if script.template not in _CONTROLS:
        raise ModelError(f"{spec.path} names the unknown template {script.template!r}.", f"Use one of {', '.join(_CONTROLS)}.")
    return script


def _pieces(tokens: bytes) -> Iterator[Piece]:
    """One piece for each character; a character of several bytes is one piece of several ids."""
    start = 0
    for end in range(1, len(tokens) + 1):
        if end == len(tokens) or tokens[end] & 0xC0 != 0x80:
            yield Piece(tokens[start:end].decode(errors="ignore"), tuple(tokens[start:end]))
            start = end


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
