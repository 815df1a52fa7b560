"""How fast the engines are: `make bench-engine` prints every goal beside its figure and keeps them in `bench/engine.json`.

All engines run in one process, turn about, on the same weights and prompts, with as many threads as `THREADS` says (1 unless
set).  `CLOCK=cpu` measures CPU seconds, for a machine with other work.  Raw timings go to `bench/engine-raw.jsonl` as they
come: `make bench-engine-full` takes more of everything and goes on where an earlier run was ended.  What needs a GPU is left
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

from assistant.models.prepare import prepare
from assistant.models.spec import ModelSpec
from assistant.settings import Settings
from assistant.template import Tokenizer
from benchmarks.engine_contestants import BUSY, Contestant, Folder, Run, Timing, contestants, unpacked
from benchmarks.engine_extremes import cancel_delays, load_seconds, long_context_ratio
from benchmarks.engine_ledger import Ledger
from benchmarks.engine_page import Row, draw, write
from benchmarks.engine_traffic import Task, chats, completions, edits, long_prompt, second_turn
from benchmarks.figures import spin_loop

SMALL = "qwen2.5-coder-0.5b"
KEPT = Path("bench")
OURS, PLAIN, WHEEL = "ours int8", "ours int8, no drafts", "llama.cpp wheel"


def main(full: bool) -> int:
    """Measure everything, print it, keep it and draw it."""
    threads = int(os.environ.get("THREADS", "1"))
    spec = replace(prepare(Settings(model=SMALL), consent=lambda _: False, report=lambda _: None), threads=threads)
    os.environ["HF_HUB_OFFLINE"] = "1"
    folder = Folder(unpacked(spec.path), threads)
    ledger = Ledger(KEPT / "engine-raw.jsonl", fresh=not full)
    before = spin_loop()
    field = [*contestants(folder, spec), Contestant(PLAIN, lambda: folder.ours("int8", "auto", drafts=False))]
    tokenizer = folder.loaded("int8", "auto").tokenizer
    _race(field, _tasks(tokenizer, full), ledger, tokenizer)
    rows = [*_rows(ledger), *_extremes(folder, spec)]
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


def _tasks(tokenizer: Tokenizer, full: bool) -> Iterator[tuple[str, Task, frozenset[str]]]:
    """Kind, task, and who is left out of it (empty: nobody)."""
    slow = frozenset({"bitsandbytes 8-bit"})
    for task in chats(tokenizer, 12 if full else 3, 128 if full else 40):
        yield "chat", task, frozenset()
    for number in range(4 if full else 1):
        yield "prompt", long_prompt(tokenizer, 2000 if full else 600, number), slow
    lean = slow | {"transformers bf16", "ours bf16"}
    for task in edits(tokenizer, 40 if full else 4, 60 if full else 2):
        yield "edit", task, slow if full else lean
    for task in completions(tokenizer, 20 if full else 4):
        yield "completion", task, slow if full else lean


def _race(
    field: list[Contestant], tasks: Iterator[tuple[str, Task, frozenset[str]]], ledger: Ledger, tokenizer: Tokenizer
) -> None:
    """Every task by everybody, turn about, the order turning too."""
    ready: dict[str, Run] = {}
    for number, (kind, task, out) in enumerate(tasks):
        for contestant in field[number % len(field) :] + field[: number % len(field)]:
            if contestant.name in out or ledger.has(kind, task.name, contestant.name):
                continue
            if contestant.name not in ready:
                ready[contestant.name] = contestant.load()
                ready[contestant.name](replace(task, prompt=task.prompt[:32], tokens=4))  # warm-up
            run = ready[contestant.name]
            if kind == "completion":
                run(replace(task, prompt=task.prompt[:-3], tokens=1))  # the prefix is hot, the last keystrokes are not
            timing = run(task)
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
    chat = ledger.ratios("chat", PLAIN, OURS, lambda timing: timing.whole - timing.first)
    yield Row.of("chat with drafting against without", 0.97, "x", chat, peer="ours without drafts")
    for name in (OURS, WHEEL):
        took = [timing.whole for timing in ledger.timings("completion", name)]
        target = 0.6 if name == OURS else None
        yield Row.of(f"completion of 24 tokens on a hot prefix, {name}, p50", target, "s", took, at_most=True)
    again = ledger.notes("second turn", OURS)
    yield Row.of("prompt tokens of a second turn computed although not new", 1, "tokens", again, at_most=True)


def _paces(ledger: Ledger) -> Iterator[Row]:
    """Decode and prefill of everybody, and ours against each peer."""
    for name in ledger.names():
        yield Row.of(f"decode, {name}", None, "tok/s", [timing.pace for timing in ledger.timings("chat", name)])
        reading = [length / timing.first for length, timing in ledger.with_lengths("prompt", name)]
        if reading:
            yield Row.of(f"prefill, {name}", None, "tok/s", reading)
    targets = {WHEEL: (2.0, 6.0), "transformers bf16": (1.8, None), "bitsandbytes 8-bit": (8.0, None)}
    for peer in ledger.names():
        if peer.startswith("ours"):
            continue
        decode, prefill = targets.get(peer, (None, None))
        paces = ledger.ratios("chat", peer, OURS, lambda timing: 1 / timing.pace)
        yield Row.of(f"decode against {peer}", decode, "x", paces, peer=peer)
        reads = ledger.ratios("prompt", peer, OURS, lambda timing: timing.first)
        if reads:
            yield Row.of(f"prefill against {peer}", prefill, "x", reads, peer=peer)


def _edits(ledger: Ledger) -> Iterator[Row]:
    """Drafting on edits: how much faster, how many tokens a pass, and whether the reply stayed the same."""
    ratios = ledger.ratios("edit", PLAIN, OURS, lambda timing: timing.whole - timing.first)
    copied = ledger.ratios(
        "edit",
        PLAIN,
        OURS,
        lambda timing: timing.whole - timing.first,
        only=lambda timing: timing.accepted >= 0.9 * len(timing.ids) - 8,
    )
    yield Row.of("edit, 90 % copied, against plain decoding", 6.0, "x", copied, peer=PLAIN)
    yield Row.of("edit, all cases, against plain decoding", None, "x", ratios, peer=PLAIN)
    passes = [len(timing.ids) / max(1, timing.passes) for timing in ledger.timings("edit", OURS)]
    yield Row.of("edit, tokens for each forward pass", None, "", passes)
    same = [float(one.ids == other.ids) for one, other in ledger.pairs("edit", PLAIN, OURS)]
    yield Row.of("edit, replies identical to plain decoding", 1.0, "", [statistics.fmean(same)] if same else [])
    for peer in (WHEEL, "CTranslate2 int8", "transformers bf16, lookup"):
        against = ledger.ratios("edit", peer, OURS, lambda timing: timing.whole / max(1, len(timing.ids)))
        yield Row.of(f"edit, time a token, against {peer}", None, "x", against, peer=peer)


def _extremes(folder: Folder, spec: ModelSpec) -> Iterator[Row]:
    loaded = folder.loaded("int8", "auto")
    yield Row.of("cancel while a prompt is read", None, "ms", cancel_delays(loaded, decoding=False), at_most=True)
    yield Row.of("cancel while a reply is written", None, "ms", cancel_delays(loaded, decoding=True), at_most=True)
    yield Row.of("a step with 8k tokens of context against 64", 1.03, "x", long_context_ratio(loaded), at_most=True)
    reading, loading = load_seconds(folder.spec)
    yield Row.of("loading int8, share of what reading the file takes", 0.8, "x", [reading / loading])


if __name__ == "__main__":
    began = time.perf_counter()
    status = main("--full" in sys.argv[1:])
    print(f"took {(time.perf_counter() - began) / 60:.1f} minutes")
    sys.exit(status)
