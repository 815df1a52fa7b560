"""One measured figure beside its goal: how it is printed and kept."""

from __future__ import annotations

import json
import operator
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached.  `at_most` False turns the comparison round; a target of None is for reference only."""

    name: str
    target: float | None
    unit: str
    at_most: bool = True


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured: the median of `n` values, in the goal's unit.

    range: the least and the greatest value.  note: what stands beside the figure, such as what was warm.
    """

    goal: Goal
    figure: float
    n: int
    range: tuple[float, float]
    note: str = ""
    met: bool | None = field(init=False)

    def __post_init__(self) -> None:
        compare = operator.le if self.goal.at_most else operator.ge
        object.__setattr__(self, "met", None if self.goal.target is None else compare(self.figure, self.goal.target))

    def __str__(self) -> str:
        verdict = {True: "met", False: "NOT MET", None: ""}[self.met]
        sign = "≤" if self.goal.at_most else "≥"
        target = "reference" if self.goal.target is None else f"{sign} {self.goal.target:g} {self.goal.unit}"
        low, high = self.range
        spread = f"n={self.n}, {low:.4g}–{high:.4g}" if self.n > 1 else "n=1"
        return f"{self.goal.name:<58} {target:>13}  {self.figure:8.4g} {self.goal.unit:<6} {verdict:<7}  {spread}  {self.note}"


def median(goal: Goal, values: Sequence[float], note: str = "") -> Figure:
    """The median of some values as a figure."""
    return Figure(goal, statistics.median(values), len(values), (min(values), max(values)), note)


def spin_loop() -> float:
    """Milliseconds of a loop that only counts: how fast this machine is just now, whatever else it does."""
    start = time.perf_counter()
    count = 0
    while count < 1_000_000:
        count += 1
    return (time.perf_counter() - start) * 1000


def keep(figures: Sequence[Figure], path: Path) -> None:
    """Write the figures as JSON."""
    path.parent.mkdir(exist_ok=True)
    rows = [{**asdict(one), "goal": one.goal.name, "target": one.goal.target, "unit": one.goal.unit} for one in figures]
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
