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
from benchmarks.engine_compiled import COMPILED, compiled
from benchmarks.engine_contestants import BUSY, Contestant, Folder, Run, Timing, unpacked
from benchmarks.engine_extremes import extremes, measure
from benchmarks.engine_ledger import Ledger
from benchmarks.engine_page import Row, draw, write
from benchmarks.engine_peers import LOOKUP, peers
from benchmarks.engine_traffic import Task, chats, completions, copied, edits, long_prompt, second_turn
from benchmarks.figures import spin_loop

SMALL, LARGE = "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"
KEPT = Path("bench")
_CHAT = 64  # tokens of a reply
PARTS = frozenset(filter(None, os.environ.get("PARTS", "").split(",")))
OURS, FOUR, BF16, WHEEL, CT2, ORT, EAGER, BNB = (
    "ours int8",
    "ours int4",
    "ours bf16",
    "llama.cpp wheel",
    "CTranslate2 int8",
    "onnxruntime-genai int4",
    "transformers bf16",
    "bitsandbytes 8-bit",
)
PLAIN = {OURS: f"{OURS}, no drafts", FOUR: f"{FOUR}, no drafts"}

# Who takes part in what, where not all do: some are so slow that they would fill the sample.
_SOME = {
    "prompt": {OURS, FOUR, BF16, WHEEL, CT2, ORT, EAGER},
    "prompt 2k": {OURS, FOUR, WHEEL, CT2, ORT, EAGER},
    "prompt 6k": {OURS, FOUR, WHEEL},
    "prompt 1.5B": {OURS, FOUR, WHEEL},
    "edit": {OURS, FOUR, *PLAIN.values(), WHEEL, CT2, ORT, LOOKUP},
    "completion": {OURS, FOUR, WHEEL},
}
_TALKING = {OURS, FOUR, WHEEL}
"""Those of whom more than a task is asked: a second turn, a prompt once more."""
PROMPTS = ("prompt", "prompt 2k", "prompt 6k", "prompt 1.5B")


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
        measure(folder, spec, ledger, OURS, FOUR)
    if _wanted("chat") and not ledger.timings("chat", COMPILED):
        talk = chats(tokenizer, 1, _CHAT)[0]
        if timing := compiled(folder, talk):
            ledger.add("chat", talk, COMPILED, timing)


def _wanted(kind: str) -> bool:
    return not PARTS or kind in PARTS


def _with_large(ledger: Ledger, threads: int, full: bool) -> None:
    """Ours and the wheel with three times as many parameters."""
    folder, spec = _model(LARGE, threads)
    field = [one for one in (*_ours(folder), *peers(folder, spec)) if one.name in {OURS, FOUR, *PLAIN.values(), WHEEL}]
    tokenizer = FolderTokenizer(folder.path)
    tasks = [("chat 1.5B", task) for task in chats(tokenizer, 6 if full else 2, 128 if full else 32)]
    tasks += [("prompt 1.5B", long_prompt(tokenizer, 600, 0))]
    tasks += [("edit 1.5B", task) for task in edits(tokenizer, 40 if full else 2, 60 if full else 0)]
    _race(field, iter(tasks), ledger, tokenizer)


def _model(name: str, threads: int) -> tuple[Folder, ModelSpec]:
    spec = replace(prepare(Settings(model=name), consent=lambda _: False, report=lambda _: None), threads=threads)
    return Folder(unpacked(spec.path), threads), spec


def _ours(folder: Folder) -> Iterator[Contestant]:
    for name, held in ((OURS, "int8"), (FOUR, "int4")):
        yield Contestant(name, partial(folder.ours, held, "auto", drafts=True))
        yield Contestant(PLAIN[name], partial(folder.ours, held, "auto", drafts=False))
    yield Contestant(BF16, lambda: folder.ours("none", "bfloat16", drafts=True))


def _tasks(tokenizer: Tokenizer, full: bool) -> Iterator[tuple[str, Task]]:
    for task in chats(tokenizer, 12 if full else 4, 128 if full else _CHAT):
        yield "chat", task
    for kind, length in (("prompt", 600), ("prompt 2k", 2000), ("prompt 6k", 6000)):
        for number in range(4 if full else 3 if length == 600 else 1):
            yield kind, long_prompt(tokenizer, length, number)
    for task in edits(tokenizer, 40 if full else 4, 60 if full else 2):
        yield "edit", task
    for task in completions(tokenizer, 20 if full else 6):
        yield "completion", task


def _race(field: list[Contestant], tasks: Iterator[tuple[str, Task]], ledger: Ledger, tokenizer: Tokenizer) -> None:
    """Every task by everybody, turn about, the order turning too."""
    ready: dict[str, Run] = {}
    for number, (kind, task) in enumerate(tasks):
        for contestant in field[number % len(field) :] + field[: number % len(field)]:
            left_out = contestant.name not in _SOME.get(kind, {contestant.name})
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
            if kind == "chat" and contestant.name in _TALKING:
                note = partial(ledger.note, "second turn", task.name, contestant.name)
                _follow(task, timing, run, note, tokenizer)
            if kind == "prompt 6k":
                again = replace(task, name=f"{task.name}, again", prompt=(*task.prompt[:-8], *task.prompt[:16]))
                ledger.add("6k again", again, contestant.name, run(again))


def _follow(task: Task, timing: Timing, run: Run, note: Callable[[int], None], tokenizer: Tokenizer) -> None:
    following = second_turn(tokenizer, task, timing.ids)
    again = run(following)
    new = len(following.prompt) - len(task.prompt) - len(timing.ids)
    note(len(following.prompt) - again.cached - new)


def _rows(ledger: Ledger) -> Iterator[Row]:
    yield from _paces(ledger)
    for ours in (OURS, FOUR):
        yield from _against(ledger, ours)
        yield from _edits(ledger, ours)
        chat = ledger.ratios("chat", PLAIN[ours], ours, _writing)
        yield Row.of(f"chat, {ours}, with drafting against without", 0.97, "x", chat, peer=PLAIN[ours])
        yield Row.of(f"chat, {ours}, with drafting against without, worst case", 0.97, "x", chat, peer=PLAIN[ours], worst=True)
        again = ledger.notes("second turn", ours)
        yield Row.of(f"second turn, {ours}, prompt tokens computed although not new", 1, "tokens", again, at_most=True)
    for name in (OURS, FOUR, WHEEL):
        took = [timing.whole for timing in ledger.timings("completion", name)]
        target = None if name == WHEEL else 0.6
        yield Row.of(f"completion of 24 tokens on a hot prefix, {name}, p50", target, "s", took, at_most=True)
        hot = [timing.first * 1000 for timing in ledger.timings("6k again", name)]
        yield Row.of(f"first token on a cached prefix of 6k, {name} (20 ms is the goal for an H100)", None, "ms", hot)
    yield from extremes(ledger, OURS, FOUR)


def _paces(ledger: Ledger) -> Iterator[Row]:
    """Decode and prefill of everybody."""
    for name in ledger.names():
        for kind in ("chat", "chat 1.5B"):
            paces = [timing.pace for timing in ledger.timings(kind, name)]
            if paces:
                yield Row.of(f"decode{kind[4:]}, {name}", None, "tok/s", paces)
        for kind in PROMPTS:
            reading = [length / timing.first for length, timing in ledger.with_lengths(kind, name)]
            if reading:
                yield Row.of(f"prefill{kind[6:]}, {name}", None, "tok/s", reading)
    floats = ledger.ratios("chat", EAGER, BF16, lambda timing: 1 / timing.pace)
    yield Row.of(f"decode, {BF16} against {EAGER} (a goal for GPUs)", 1.8, "x", floats, peer=EAGER)


def _against(ledger: Ledger, ours: str) -> Iterator[Row]:
    """Ours and each peer, at the same tasks."""
    targets = {WHEEL: (2.0, 6.0)} | ({BNB: (8.0, None)} if ours == OURS else {})
    for peer in ledger.names():
        if peer.startswith("ours"):
            continue
        decode, prefill = targets.get(peer, (None, None))
        for kind in ("chat", "chat 1.5B"):
            paces = ledger.ratios(kind, peer, ours, lambda timing: 1 / timing.pace)
            if paces:
                yield Row.of(f"decode{kind[4:]}, {ours} against {peer}", decode, "x", paces, peer=peer)
        for kind in PROMPTS:
            reads = ledger.ratios(kind, peer, ours, lambda timing: timing.first)
            if reads:
                yield Row.of(f"prefill{kind[6:]}, {ours} against {peer}", prefill, "x", reads, peer=peer)


def _edits(ledger: Ledger, ours: str) -> Iterator[Row]:
    """Drafting on edits: how much faster, how many tokens a pass, and whether the reply stayed the same."""
    plain = PLAIN[ours]
    for kind in ("edit", "edit 1.5B"):
        name = f"edit{kind[4:]}, {ours}"
        ratios = ledger.ratios(kind, plain, ours, _writing)
        mostly = ledger.ratios(kind, plain, ours, _writing, only=lambda timing: timing.copied >= 0.9)
        yield Row.of(f"{name}, 90 % copied, against plain decoding", 6.0, "x", mostly, peer=plain)
        yield Row.of(f"{name}, all cases, against plain decoding", None, "x", ratios, peer=plain)
        passes = [len(timing.ids) / max(1, timing.passes) for timing in ledger.timings(kind, ours)]
        yield Row.of(f"{name}, tokens for each forward pass", None, "", passes)
        same = [float(one.ids == other.ids) for one, other in ledger.pairs(kind, plain, ours)]
        yield Row.of(f"{name}, replies identical to plain decoding", 1.0, "", [statistics.fmean(same)] if same else [])
        for peer in (WHEEL, CT2, ORT, LOOKUP):
            against = ledger.ratios(kind, peer, ours, lambda timing: timing.whole / max(1, len(timing.ids)))
            if against:
                yield Row.of(f"{name}, time a token, against {peer}", None, "x", against, peer=peer)


def _writing(timing: Timing) -> float:
    return timing.whole - timing.first


if __name__ == "__main__":
    began = time.perf_counter()
    status = main("--full" in sys.argv[1:])
    print(f"took {(time.perf_counter() - began) / 60:.1f} minutes")
    sys.exit(status)
