"""How quick the language server is: `make bench-lsp` prints each figure beside its goal and keeps them in `bench/lsp.json`.

The server is the real process, asked over its pipes; a scripted engine plays the model except where a real one is named.  Rows
of one round follow each other, and rounds repeat, so that a disturbance falls on all; medians, or the share that a row names.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from assistant.models.receipts import installed
from benchmarks.figures import Figure, Goal, keep, median, spin_loop
from benchmarks.lsp_editors import EchoEditors, at_host, cpu_ms, fixed, open_document, ready, resident
from tests.scale import percentile
from tests.server.buffer import end_hosts
from tests.server.editor_at_pipes import Editor

KEPT = Path("bench") / "lsp.json"
ROUNDS, EDITORS = 5, 50
SMALL = "qwen2.5-coder-0.5b"

SPIN = Goal("spin loop, 1,000,000 steps", None, "ms")
START = Goal("process start to the answer to `initialize`", 400, "ms")
MEMORY = Goal("resident after a fix and a question", 60, "MB")
ACTION = Goal("code action, 10,000 lines, p99", 5, "ms")
CHANGE = Goal("a change in a document of 1 MB, p99", 10, "ms")
PROGRESS = Goal("command to first progress", 50, "ms")
CANCEL = Goal("cancel to an idle engine", 2, "tokens")
MIXED = Goal("answers of 50 editors at one host that are another's", 0, "")
SERVED = Goal("answers of 50 editors at one host", 500, "", at_most=False)
COMPLETION = Goal(f"inline completion, {SMALL}, hot prefix, p50", 600, "ms")
COLD_COMPLETION = Goal(f"inline completion, {SMALL}, cold prefix of a new place", None, "ms")
RECALLED = Goal("inline completion that the user is typing out", None, "ms")

CPU = {goal: Goal(f"CPU time of {goal.name}", None, "ms") for goal in (START, ACTION, CHANGE)}
REPEATS, WARM_UP = 110, 10

Rows = dict[Goal, list[float]]


def main() -> int:
    """Measure everything, print it and keep it."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as home:
        environment = {**os.environ, "STARCHAT_HOME": home, "STARCHAT_IDLE_MINUTES": "5"}
        figures = []
        for figure in _measure(environment, Path(home)):
            print(figure, flush=True)
            figures.append(figure)
        end_hosts(Path(home))
    keep(figures, KEPT)
    missed = sum(figure.met is False for figure in figures)
    print(f"{len(figures) - missed} of {len(figures)} met or for reference; kept in {KEPT}")
    return 0


def _measure(environment: dict[str, str], home: Path) -> Iterator[Figure]:
    yield median(SPIN, [spin_loop() for _ in range(3)], "before")
    rows: Rows = defaultdict(list)
    for number in range(ROUNDS):
        _round(environment, home, number, rows)
    yield median(START, rows[START], f"after 1 warm-up start; {_cpu(rows, START)}")
    yield median(MEMORY, rows[MEMORY])
    for goal in (ACTION, CHANGE):
        values = rows[goal]
        yield Figure(goal, percentile(values, 0.99), len(values), (min(values), max(values)), f"{_cpu(rows, goal)} each")
    yield median(PROGRESS, rows[PROGRESS])
    yield median(CANCEL, rows[CANCEL], "at 50 ms a token, until /health says so")
    yield from _crowd(environment, home)
    if installed(SMALL) is None:
        print(f"{SMALL} is not on this machine: `assistant models pull {SMALL}`; its rows are left out", file=sys.stderr)
    else:
        yield from _completions(environment, home)
    yield median(SPIN, [spin_loop() for _ in range(3)], "after")


def _round(environment: dict[str, str], home: Path, number: int, rows: Rows) -> None:
    """One editor from its start to its end, all rows in turn; the first round warms up."""
    began = time.perf_counter()
    editor = Editor(environment, home)
    try:
        greeting = ready(editor, home, {"reply": "x" * 400, "delay_ms": 50})
        if number:
            rows[START].append(1000 * (editor.greeted - began))
            rows[CPU[START]].append(greeting)
        large = open_document(editor, "large.py", "value = compute(1)\n" * 10_000)
        huge = open_document(editor, "huge.py", "text = 'abcdefghijklmnopqrstuvwxyz'\n" * 28_000)
        numbers = open_document(editor, "numbers.py", "def half(a):\n    return a * 2\n")
        for goal, work in (
            (ACTION, lambda took: _actions(editor, large, took)),
            (CHANGE, lambda took: _changes(editor, huge, took)),
        ):
            before = cpu_ms(editor)
            work(rows[goal])
            rows[CPU[goal]].append((cpu_ms(editor) - before) / REPEATS)
        for token in range(4):
            _stopped(editor, home, numbers, f"{number}-{token}", rows)
    finally:
        editor.close()
    small = Editor(environment, home)
    try:
        ready(small, home, {"reply": "x"})
        open_document(small, "numbers.py", "def half(a):\n    return a * 2\n")
        fixed(small, home)
        rows[MEMORY].append(resident(small))
    finally:
        small.close()


def _cpu(rows: Rows, goal: Goal) -> str:
    """The server's own CPU time for a row, which work beside it stretches less."""
    return f"CPU time {statistics.median(rows[CPU[goal]]):.2f} ms"


def _actions(editor: Editor, uri: str, took: list[float]) -> None:
    where = {"start": {"line": 5000, "character": 2}, "end": {"line": 5000, "character": 9}}
    problem = {"range": where, "message": "compute is not defined", "source": "pyflakes"}
    context = {"diagnostics": [problem], "triggerKind": 1}
    params = {"textDocument": {"uri": uri}, "range": where, "context": context}
    for number in range(REPEATS):
        began = time.perf_counter()
        assert editor.request("textDocument/codeAction", params)["result"]
        if number >= WARM_UP:
            took.append(1000 * (time.perf_counter() - began))


def _changes(editor: Editor, uri: str, took: list[float]) -> None:
    """Typing in the middle of a large text; a ping behind each change says when it has been taken in."""
    for number in range(REPEATS):
        here = {"line": 14_000, "character": 3 + number % 20}
        began = time.perf_counter()
        editor.change(uri, 2 + number, {"range": {"start": here, "end": here}, "text": "x"})
        editor.request("starchat/ping", {})
        if number >= WARM_UP:
            took.append(1000 * (time.perf_counter() - began))


def _stopped(editor: Editor, home: Path, uri: str, token: str, rows: Rows) -> None:
    """A command, its first progress, and after a few tokens its stop."""
    params = {"command": "starchat.fix", "arguments": [{"uri": uri}], "workDoneToken": token}
    began = time.perf_counter()
    request = editor.begin("workspace/executeCommand", params)

    def of_kind(*words: str) -> Callable[[dict[str, Any]], bool]:
        return lambda each: (
            each.get("params", {}).get("token") == token and any(word in json.dumps(each, ensure_ascii=False) for word in words)
        )

    editor.wait_for(of_kind('"begin"'))
    rows[PROGRESS].append(1000 * (time.perf_counter() - began))
    editor.wait_for(of_kind("writing …"))
    with at_host(home) as host:
        stopped = time.perf_counter()
        editor.notify("$/cancelRequest", {"id": request})
        while host()["active"]:
            time.sleep(0.002)
        rows[CANCEL].append((time.perf_counter() - stopped) / 0.050)
    editor.reply(request)


def _crowd(environment: dict[str, str], home: Path) -> Iterator[Figure]:
    """Many editors at one server and one host, all at once, each with words of its own that the model gives back."""
    crowd = EchoEditors(environment, home, EDITORS)
    try:
        threads = [threading.Thread(target=crowd.ask, args=(name, 10)) for name in range(EDITORS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        crowd.close()
    yield Figure(MIXED, crowd.foreign, 1, (crowd.foreign, crowd.foreign))
    yield Figure(SERVED, crowd.own, 1, (crowd.own, crowd.own), f"the longest wait: {crowd.longest:.2f} s")


CODE = '''"""Shapes."""

import math


class Circle:
    def __init__(self, radius):
        self.radius = radius

    def area(self):
        return math.pi * self.radius ** 2

    def circumference(self):
        return
'''


def _completions(environment: dict[str, str], home: Path) -> Iterator[Figure]:
    """Key to text; in the hot rows what stands before the cursor was read at the key before, and nobody foresaw the key."""
    editor = Editor(environment, home)
    hot, cold, recalled = [], [], []
    try:
        ready(editor, home, None, SMALL)
        for number in range(8):
            text = CODE.replace("Circle", f"Circle{number}").replace("Shapes", f"Shapes {number}")
            uri = open_document(editor, f"shapes{number}.py", text)
            line, start = text.count("\n") - 1, len("        return")
            for version, key in enumerate(" kwzq", 2):
                here = {"line": line, "character": start}
                editor.change(uri, version, {"range": {"start": here, "end": here}, "text": key})
                start += 1
                took, found = _key_to_text(editor, uri, line, start)
                (cold if version == 2 else hot).append(took)
                if found and version == 6:
                    here = {"line": line, "character": start}
                    editor.change(uri, 7, {"range": {"start": here, "end": here}, "text": found[:1]})
                    recalled.append(_key_to_text(editor, uri, line, start + 1)[0])
    finally:
        editor.close()
    yield median(COMPLETION, hot, "debounce of 75 ms included")
    yield median(COLD_COMPLETION, cold)
    if recalled:
        yield median(RECALLED, recalled)


def _key_to_text(editor: Editor, uri: str, line: int, character: int) -> tuple[float, str]:
    position = {"line": line, "character": character}
    params = {"textDocument": {"uri": uri}, "position": position, "context": {"triggerKind": 2}}
    began = time.perf_counter()
    items = editor.request("textDocument/inlineCompletion", params, 120)["result"]["items"]
    return 1000 * (time.perf_counter() - began), items[0]["insertText"] if items else ""


if __name__ == "__main__":
    sys.exit(main())
