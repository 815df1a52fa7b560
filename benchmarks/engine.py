"""How fast the engines are: `make bench-engine` prints every goal beside its figure and keeps them in `bench/engine.json`.

All engines run in one process, turn about, on the same weights and prompts, with as many threads as `THREADS` says (1 unless
set).  `CLOCK=cpu` measures CPU seconds, for a machine with other work.  Raw timings go to `bench/engine-raw.jsonl` as they
come: `make bench-engine-full` takes more of everything and goes on where an earlier run was ended.  `PARTS=chat,edit` takes
these kinds of work alone, beside what was kept of others, for a machine that is not ours for long.  What needs a GPU is left
out and said to be.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from assistant.hosting.torch_engine.tokenizer import FolderTokenizer
from assistant.models.prepare import prepare
from assistant.models.spec import ModelSpec
from assistant.settings import Settings
from assistant.template import Tokenizer
from benchmarks.engine_contestants import BUSY, Contestant, Folder, Run, Timing, unpacked
from benchmarks.engine_extremes import cancel_delays, load_seconds, long_context_ratio, read_speed, step_bytes
from benchmarks.engine_ledger import Ledger
from benchmarks.engine_page import Row, draw, write
from benchmarks.engine_peers import COMPILED, LOOKUP, peers
from benchmarks.engine_traffic import Task, chats, completions, copied, edits, long_prompt, second_turn
from benchmarks.figures import spin_loop

SMALL, LARGE = "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"
KEPT = Path("bench")
PARTS = frozenset(filter(None, os.environ.get("PARTS", "").split(",")))
OURS, PLAIN, WHEEL, CT2, ORT = (
    "ours int8",
    "ours int8, no drafts",
    "llama.cpp wheel",
    "CTranslate2 int8",
    "onnxruntime-genai int4",
)

# Who takes part in what, where not all do: some are so slow that they would fill the sample.
_SOME = {
    "prompt 2k": {OURS, WHEEL, CT2, ORT, "transformers bf16"},
    "prompt 6k": {OURS, WHEEL},
    "edit": {OURS, PLAIN, WHEEL, CT2, ORT, LOOKUP},
    "completion": {OURS, WHEEL},
}
PROMPTS = ("prompt", "prompt 2k", "prompt 6k", "prompt 1.5B")
_ONLY_CHAT = {COMPILED, "bitsandbytes 8-bit"}


def main(full: bool) -> int:
    """Measure everything, print it, keep it and draw it."""
    threads = int(os.environ.get("THREADS", "1"))
    os.environ["HF_HUB_OFFLINE"] = "1"
    ledger = Ledger(KEPT / "engine-raw.jsonl", fresh=not (full or PARTS))
    before = spin_loop()
    _with_small(ledger, threads, full)
    _with_large(ledger, threads, full)
    rows = list(_rows(ledger))
    for row in rows:
        print(row, flush=True)
    kind = "CPU seconds beside other work" if BUSY else "by the clock"
    loop = f"one million steps of an empty loop took {before:.0f} ms before and {spin_loop():.0f} after"
    conditions = f"{threads} thread(s) each, {kind}; {loop}"
    write(rows, conditions, KEPT)
    draw(ledger, KEPT / "engine.svg")
    missed = [row for row in rows if row.met is False]
    print(f"{len(rows) - len(missed)} of {len(rows)} met or for reference; kept in {KEPT}/engine.json, engine.md, engine.svg")
    return 0


def _with_small(ledger: Ledger, threads: int, full: bool) -> None:
    folder, spec = _model(SMALL, threads)
    field = [*_ours(folder), *peers(folder, spec)]
    tokenizer = FolderTokenizer(folder.path)
    _race(field, _tasks(tokenizer, full), ledger, tokenizer)
    if _wanted("extremes") and not ledger.notes("read speed", OURS):
        _measure_extremes(folder, ledger)


def _wanted(kind: str) -> bool:
    return not PARTS or kind in PARTS


def _with_large(ledger: Ledger, threads: int, full: bool) -> None:
    """Ours and the wheel with three times as many parameters."""
    folder, spec = _model(LARGE, threads)
    field = [one for one in (*_ours(folder), *peers(folder, spec)) if one.name in (OURS, PLAIN, WHEEL)]
    tokenizer = FolderTokenizer(folder.path)
    tasks = [("chat 1.5B", task, frozenset[str]()) for task in chats(tokenizer, 6 if full else 1, 128 if full else 32)]
    tasks += [("prompt 1.5B", long_prompt(tokenizer, 600, 0), frozenset({PLAIN}))]
    tasks += [("edit 1.5B", task, frozenset[str]()) for task in edits(tokenizer, 40 if full else 1, 60 if full else 0)]
    _race(field, iter(tasks), ledger, tokenizer)


def _model(name: str, threads: int) -> tuple[Folder, ModelSpec]:
    spec = replace(prepare(Settings(model=name), consent=lambda _: False, report=lambda _: None), threads=threads)
    return Folder(unpacked(spec.path), threads), spec


def _ours(folder: Folder) -> Iterator[Contestant]:
    yield Contestant(OURS, lambda: folder.ours("int8", "auto", drafts=True))
    yield Contestant(PLAIN, lambda: folder.ours("int8", "auto", drafts=False))
    yield Contestant("ours bf16", lambda: folder.ours("none", "bfloat16", drafts=True))


def _tasks(tokenizer: Tokenizer, full: bool) -> Iterator[tuple[str, Task, frozenset[str]]]:
    """Kind, task, and who is left out of it."""
    for task in chats(tokenizer, 12 if full else 2, 128 if full else 32):
        yield "chat", task, frozenset() if task.name == "chat 0" or full else frozenset({COMPILED})
    for kind, length in (("prompt", 600), ("prompt 2k", 2000), ("prompt 6k", 6000)):
        for number in range(4 if full else 1):
            yield kind, long_prompt(tokenizer, length, number), frozenset(_ONLY_CHAT | {PLAIN, LOOKUP})
    for task in edits(tokenizer, 40 if full else 2, 60 if full else 1):
        yield "edit", task, frozenset(_ONLY_CHAT)
    for task in completions(tokenizer, 20 if full else 4):
        yield "completion", task, frozenset(_ONLY_CHAT)


def _race(
    field: list[Contestant], tasks: Iterator[tuple[str, Task, frozenset[str]]], ledger: Ledger, tokenizer: Tokenizer
) -> None:
    """Every task by everybody, turn about, the order turning too."""
    ready: dict[str, Run] = {}
    for number, (kind, task, out) in enumerate(tasks):
        for contestant in field[number % len(field) :] + field[: number % len(field)]:
            left_out = contestant.name in out or contestant.name not in _SOME.get(kind, {contestant.name})
            if left_out or not _wanted(kind) or ledger.has(kind, task.name, contestant.name):
                continue
            if contestant.name not in ready:
                ready[contestant.name] = contestant.load()
                ready[contestant.name](replace(task, prompt=task.prompt[:32], tokens=4))  # warm-up
            run = ready[contestant.name]
            if kind == "completion":
                run(replace(task, prompt=task.prompt[:-3], tokens=1))  # the prefix is hot, the last keystrokes are not
            timing = run(task)
            timing = replace(timing, copied=copied(timing.ids, task.prediction))
            ledger.add(kind, task, contestant.name, timing)
            print(
                f"{kind:<10} {task.name:<28} {contestant.name:<26} first {timing.first:6.2f} s, {timing.pace:6.1f} tok/s",
                flush=True,
            )
            if kind == "chat" and contestant.name in (OURS, WHEEL):
                note = partial(ledger.note, "second turn", task.name, contestant.name)
                _follow(task, timing, run, note, tokenizer)


def _follow(task: Task, timing: Timing, run: Run, note: Callable[[int], None], tokenizer: Tokenizer) -> None:
    following = second_turn(tokenizer, task, timing.ids)
    again = run(following)
    new = len(following.prompt) - len(task.prompt) - len(timing.ids)
    note(len(following.prompt) - again.cached - new)


def _rows(ledger: Ledger) -> Iterator[Row]:
    yield from _paces(ledger)
    yield from _edits(ledger)
    chat = ledger.ratios("chat", PLAIN, OURS, _writing)
    yield Row.of("chat with drafting against without", 0.97, "x", chat, peer="ours without drafts")
    for name in (OURS, WHEEL):
        took = [timing.whole for timing in ledger.timings("completion", name)]
        target = 0.6 if name == OURS else None
        yield Row.of(f"completion of 24 tokens on a hot prefix, {name}, p50", target, "s", took, at_most=True)
    again = ledger.notes("second turn", OURS)
    yield Row.of("prompt tokens of a second turn computed although not new", 1, "tokens", again, at_most=True)
    yield from _extremes(ledger)


def _paces(ledger: Ledger) -> Iterator[Row]:
    """Decode and prefill of everybody, and ours against each peer."""
    for name in ledger.names():
        for kind in ("chat", "chat 1.5B"):
            paces = [timing.pace for timing in ledger.timings(kind, name)]
            if paces:
                yield Row.of(f"decode{kind[4:]}, {name}", None, "tok/s", paces)
        for kind in PROMPTS:
            reading = [length / timing.first for length, timing in ledger.with_lengths(kind, name)]
            if reading:
                yield Row.of(f"prefill{kind[6:]}, {name}", None, "tok/s", reading)
    targets = {WHEEL: (2.0, 6.0), "transformers bf16": (1.8, None), "bitsandbytes 8-bit": (8.0, None)}
    for peer in ledger.names():
        if peer.startswith("ours"):
            continue
        decode, prefill = targets.get(peer, (None, None))
        for kind in ("chat", "chat 1.5B"):
            paces = ledger.ratios(kind, peer, OURS, lambda timing: 1 / timing.pace)
            if paces:
                yield Row.of(f"decode{kind[4:]} against {peer}", decode, "x", paces, peer=peer)
        for kind in PROMPTS:
            reads = ledger.ratios(kind, peer, OURS, lambda timing: timing.first)
            if reads:
                yield Row.of(f"prefill{kind[6:]} against {peer}", prefill, "x", reads, peer=peer)


def _edits(ledger: Ledger) -> Iterator[Row]:
    """Drafting on edits: how much faster, how many tokens a pass, and whether the reply stayed the same."""
    for kind in ("edit", "edit 1.5B"):
        size = kind[4:]
        ratios = ledger.ratios(kind, PLAIN, OURS, _writing)
        mostly = ledger.ratios(kind, PLAIN, OURS, _writing, only=lambda timing: timing.copied >= 0.9)
        yield Row.of(f"edit{size}, 90 % copied, against plain decoding", 6.0, "x", mostly, peer=PLAIN)
        yield Row.of(f"edit{size}, all cases, against plain decoding", None, "x", ratios, peer=PLAIN)
        passes = [len(timing.ids) / max(1, timing.passes) for timing in ledger.timings(kind, OURS)]
        yield Row.of(f"edit{size}, tokens for each forward pass", None, "", passes)
        same = [float(one.ids == other.ids) for one, other in ledger.pairs(kind, PLAIN, OURS)]
        yield Row.of(f"edit{size}, replies identical to plain decoding", 1.0, "", [statistics.fmean(same)] if same else [])
        for peer in (WHEEL, CT2, ORT, LOOKUP):
            against = ledger.ratios(kind, peer, OURS, lambda timing: timing.whole / max(1, len(timing.ids)))
            if against:
                yield Row.of(f"edit{size}, time a token, against {peer}", None, "x", against, peer=peer)


def _writing(timing: Timing) -> float:
    return timing.whole - timing.first


def _measure_extremes(folder: Folder, ledger: Ledger) -> None:
    loaded = folder.loaded("int8", "auto")
    ledger.note("read speed", "", OURS, read_speed())
    ledger.note("step bytes", "", OURS, step_bytes(folder.path))
    for kind, decoding in (("cancel reading", False), ("cancel writing", True)):
        for delay in cancel_delays(loaded, decoding=decoding):
            ledger.note(kind, "", OURS, delay)
    for ratio in long_context_ratio(loaded):
        ledger.note("long context", "", OURS, ratio)
    reading, loading = load_seconds(folder.spec)
    ledger.note("load", "", OURS, reading / loading)


def _extremes(ledger: Ledger) -> Iterator[Row]:
    def noted(kind: str) -> list[float]:
        return ledger.notes(kind, OURS)

    paces = [timing.pace for timing in ledger.timings("chat", OURS)]
    used = [
        bytes_ * pace / speed for bytes_, speed in zip(noted("step bytes"), noted("read speed"), strict=True) for pace in paces
    ]
    yield Row.of("memory read by one thread", None, "GB/s", [speed / 1e9 for speed in noted("read speed")])
    yield Row.of("decode in 8 bits, share of what reading the weights takes (a goal for GPUs)", 0.7, "x", used)
    yield Row.of("cancel while a prompt is read", None, "ms", noted("cancel reading"), at_most=True)
    yield Row.of("cancel while a reply is written", None, "ms", noted("cancel writing"), at_most=True)
    yield Row.of(
        "a step with 8k tokens of context against 64 (a goal for GPUs)", 1.03, "x", noted("long context"), at_most=True
    )
    yield Row.of("loading int8, share of what reading the file takes", 0.8, "x", noted("load"))


if __name__ == "__main__":
    began = time.perf_counter()
    status = main("--full" in sys.argv[1:])
    print(f"took {(time.perf_counter() - began) / 60:.1f} minutes")
    sys.exit(status)
