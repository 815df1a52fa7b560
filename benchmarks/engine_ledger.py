"""Raw timings, kept line by line so that a long run can go on where it was ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.engine_contestants import Timing
from benchmarks.engine_traffic import Task

Measure = Callable[[Timing], float]


class Ledger:
    """What was measured so far.  `fresh` begins anew."""

    def __init__(self, path: Path, *, fresh: bool) -> None:
        path.parent.mkdir(exist_ok=True)
        self._path = path
        if fresh:
            path.unlink(missing_ok=True)
        self._lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []

    def has(self, kind: str, task: str, name: str) -> bool:
        """Whether `name` has done the task already."""
        return any((line["kind"], line["task"], line["name"]) == (kind, task, name) for line in self._lines)

    def add(self, kind: str, task: Task, name: str, timing: Timing) -> None:
        """Note a run."""
        self._write({"kind": kind, "task": task.name, "name": name, "length": len(task.prompt), "timing": asdict(timing)})

    def note(self, kind: str, task: str, name: str, value: float) -> None:
        """Note a number that is no run."""
        self._write({"kind": kind, "task": task, "name": name, "value": value})

    def notes(self, kind: str, name: str) -> list[float]:
        """The numbers noted so far."""
        return [line["value"] for line in self._lines if (line["kind"], line["name"]) == (kind, name)]

    def names(self) -> list[str]:
        """Who has taken part."""
        return list(dict.fromkeys(line["name"] for line in self._lines if "timing" in line))

    def timings(self, kind: str, name: str) -> list[Timing]:
        """The runs of one contestant."""
        return [timing for _, timing in self.with_lengths(kind, name)]

    def with_lengths(self, kind: str, name: str) -> Iterator[tuple[int, Timing]]:
        """The runs of one contestant, each with the length of its prompt."""
        for line in self._lines:
            if (line["kind"], line["name"]) == (kind, name):
                yield line["length"], _timing(line)

    def pairs(self, kind: str, one: str, other: str) -> Iterator[tuple[Timing, Timing]]:
        """The runs of two contestants at the same tasks."""
        first = {line["task"]: _timing(line) for line in self._lines if (line["kind"], line["name"]) == (kind, one)}
        for line in self._lines:
            if (line["kind"], line["name"]) == (kind, other) and line["task"] in first:
                yield first[line["task"]], _timing(line)

    def ratios(
        self, kind: str, peer: str, ours: str, measure: Measure, only: Callable[[Timing], bool] = lambda _: True
    ) -> list[float]:
        """How many times as much the peer takes, task by task."""
        return [measure(theirs) / measure(mine) for theirs, mine in self.pairs(kind, peer, ours) if only(mine)]

    def _write(self, line: dict[str, Any]) -> None:
        self._lines.append(line)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _timing(line: dict[str, Any]) -> Timing:
    raw = line["timing"]
    return Timing(**{**raw, "ids": tuple(raw["ids"])})
