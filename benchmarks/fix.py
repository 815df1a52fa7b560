"""Does it fix bugs?  `make bench-fix` runs our own command over public bug collections and executes each case's tests.

The judge is a script beside the data (`STARCHAT_BENCH` names its folder, `STARCHAT_DATA` that of the data); it writes a buggy
file, has `assistant fix` change it, runs the case's tests, and looks at what else has changed.  Results are kept after each few
cases, and a second run goes on where the first one stopped.

    make bench-fix MODE=plain|doctest CASES=quixbugs|humanevalpack FIRST=0 LAST=40
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Goal, keep, spin_loop

MODES = {"plain": "", "doctest": "--check doctest --unverified --check-seconds 15"}
FILES = {"quixbugs": "quixbugs/quixbugs_python.jsonl", "humanevalpack": "humanevalpack/python.jsonl"}
CHUNK = 5
"""Cases between two points where a run can be taken up again."""

PEERS = (
    ("plain prompting, the same weights", "12/40 on QuixBugs, 22 left unchanged, 16 s a case"),
    ("aider 0.86.2, whole files, the same weights", "9/40 on QuixBugs, 26 left unchanged, 25 s a case"),
)
GOALS = {"plain": 18, "doctest": 22}

AGAIN = {
    "Trying what it nearly wrote": "what it nearly wrote",
    "Asking it once more, to say": "an explanation",
    "Asking once more": "another repair",
}
"""Words by which our command says that it tries again, and how."""

SHOWS = "As it is, the check fails"
EXAMPLES = {
    SHOWS: "examples show the bug",
    "passes already": "examples do not show it",
    "nothing is checked": "there are none to try",
}
"""Words by which our command says what the examples are good for."""


def main() -> int:
    """Run what is missing, then print and keep the table."""
    options = _options()
    bench, data = (os.environ.get(name) for name in ("STARCHAT_BENCH", "STARCHAT_DATA"))
    if not bench or not data:
        print("bench-fix: STARCHAT_BENCH and STARCHAT_DATA must name the folders of the judge and the data.", file=sys.stderr)
        return 2
    folder = Path("bench") / "fix" / f"{options.cases}-{options.mode}-{options.model}"
    print(f"spin loop: {spin_loop():.0f} ms before")
    for first in range(options.first, options.last, CHUNK):
        _chunk(options, Path(bench), Path(data), folder, first)
    print(f"spin loop: {spin_loop():.0f} ms after\n")
    return _report(options, _rows(options, folder))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fix", description="Measure how many bugs are fixed.")
    parser.add_argument("--mode", choices=MODES, default="plain")
    parser.add_argument("--cases", choices=FILES, default="quixbugs")
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first case, counted from 0")
    parser.add_argument("--last", type=int, default=40, metavar="N", help="the case to stop before")
    parser.add_argument("--samples", type=int, default=4, metavar="N", help="candidates of a checked fix")
    return parser.parse_args()


def _chunk(options: argparse.Namespace, bench: Path, data: Path, folder: Path, first: int) -> None:
    """Judge a few cases, unless that was done before."""
    result = folder / f"{first:03}.json"
    if result.exists():
        return
    extra = MODES[options.mode] + (f" --samples {options.samples}" if options.mode != "plain" else "")
    program = shlex.quote(str(Path(sys.executable).with_name("assistant")))
    ours = f"{program} fix {{file}}:{{start}}-{{end}} --write -m {options.model} {extra}"
    command = [sys.executable, str(bench / "fix_bench.py"), "--cases", f"{options.cases}:{data / FILES[options.cases]}"]
    command += ["--fixer", "command", "--command", ours, "--skip", str(first), "--limit", str(min(CHUNK, options.last - first))]
    command += ["--work", str(folder / "work"), "--tag", f"{first:03}", "--out", str(result), "--fix-timeout", "900"]
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True, stdout=sys.stderr)


def _rows(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    chosen = [folder / f"{first:03}.json" for first in range(options.first, options.last, CHUNK)]
    return [
        row | {"said": _said(path, row["id"])}
        for path in chosen
        for row in json.loads(path.read_text(encoding="utf-8"))["rows"]
    ]


def _said(result: Path, case: str) -> str:
    """All that our command printed for this case."""
    kept = result.parent / "work" / f"{result.stem}.fixed.jsonl"
    told = (json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines())
    return next((str(one.get("reply") or "") for one in told if one["id"] == case), "")


def _apart(options: argparse.Namespace, rows: list[dict[str, Any]]) -> list[Figure]:
    """What is told of some of the cases: those with one attempt, or those whose examples say something."""
    if options.mode == "plain":
        first = [row for row in rows if not any(words in row["said"] for words in AGAIN)]
        seconds = [row["seconds"] for row in first] or [0.0]
        return [
            _figure(Goal("cases where one attempt was enough", None, "", at_most=False), len(first)),
            _figure(Goal("seconds of these, median", 16, "s"), statistics.median(seconds)),
            *(_fixed(f"fixed after {how}", rows, words) for words, how in AGAIN.items()),
        ]
    verified = [row for row in rows if "the check passes." in row["said"] and SHOWS in row["said"]]
    return [
        *(_fixed(f"fixed where {what}", rows, words) for words, what in EXAMPLES.items()),
        _figure(Goal("shown as verified", None, "", at_most=False), len(verified)),
        _figure(Goal("shown as verified, and not fixed", None, ""), sum(not row["passed"] for row in verified)),
    ]


def _fixed(name: str, rows: list[dict[str, Any]], words: str) -> Figure:
    chosen = [row for row in rows if words in row["said"]]
    return _figure(Goal(f"{name} ({len(chosen)})", None, "", at_most=False), sum(row["passed"] for row in chosen))


def _report(options: argparse.Namespace, rows: list[dict[str, Any]]) -> int:
    """The table, then every case that was not fixed and why."""
    count, fixed = len(rows), sum(row["passed"] for row in rows)
    goal = GOALS[options.mode] if options.cases == "quixbugs" and count == 40 else None
    name = f"fixed of {count} ({options.cases}, {options.mode})"
    figures = [
        _figure(Goal(name, goal, "", at_most=False), fixed),
        _figure(Goal("lines changed outside the function", 0, ""), sum(row.get("lines_changed_outside") or 0 for row in rows)),
        _figure(Goal("stray files", 0, ""), sum(len(row.get("stray_files", ())) for row in rows)),
        _figure(
            Goal("success claimed on an empty diff", 0, ""), sum(bool(row.get("applied")) and not row["edited"] for row in rows)
        ),
        _figure(Goal("left unchanged, and said so", None, ""), sum(not row["edited"] for row in rows)),
        _figure(Goal("seconds a case, median", 35, "s"), statistics.median(row["seconds"] for row in rows)),
        *_apart(options, rows),
    ]
    print("\n".join(map(str, figures)))
    for peer, figure in PEERS:
        print(f"{peer:<58} {figure}")
    print("\nnot fixed:")
    for row in rows:
        if not row["passed"]:
            print(f"  {row['id']:<30} {row['class']}: {row['test_state'][:60]}")
    keep(figures, Path("bench") / f"fix-{options.cases}-{options.mode}.json")
    return 0


def _figure(goal: Goal, value: float) -> Figure:
    return Figure(goal, value, 1, (value, value))


if __name__ == "__main__":
    sys.exit(main())
