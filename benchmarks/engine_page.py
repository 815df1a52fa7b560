"""The goals beside their figures: printed, as JSON, and as a page with plots."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.engine_ledger import Ledger

ABSENT = (
    "Not measured, for want of a GPU: decode and 8-bit against the bandwidth of an H100, 8 times bitsandbytes and 1.8 times "
    "eager there, first token with a cached 6k prefix within 20 ms, loading 31 GB, vLLM."
)


@dataclass(frozen=True, slots=True)
class Row:
    """One goal.  `target` None: for reference.  `figure`: the median or worst of `n` values; None where there are none."""

    goal: str
    target: float | None
    unit: str
    figure: float | None
    met: bool | None
    peer: str
    n: int
    least: float | None
    most: float | None

    @staticmethod
    def of(
        goal: str,
        target: float | None,
        unit: str,
        values: Sequence[float],
        peer: str = "",
        *,
        at_most: bool = False,
        worst: bool = False,
    ) -> Row:
        """The row of some measured values.  worst: not their median counts but the worst of them."""
        if not values:
            return Row(goal, target, unit, None, None, peer, 0, None, None)
        figure = (max if at_most else min)(values) if worst else statistics.median(values)
        met = None if target is None else figure <= target if at_most else figure >= target
        return Row(goal, target, unit, figure, met, peer, len(values), min(values), max(values))

    def __str__(self) -> str:
        return "  ".join((f"{self.goal:<62}", f"{self.wanted:>12}", f"{self.found:>14}", f"{self.verdict:<20}", f"n={self.n}"))

    @property
    def wanted(self) -> str:
        return "reference" if self.target is None else f"{self.target:g} {self.unit}"

    @property
    def found(self) -> str:
        return "not measured" if self.figure is None else f"{self.figure:.3g} {self.unit}"

    @property
    def verdict(self) -> str:
        """Whether it was met; a miss says what share of the goal was reached."""
        if self.met is None or self.target is None or self.figure is None:
            return ""
        return "met" if self.met else f"missed: {self.figure / self.target:.2f} of it"


def write(rows: Sequence[Row], conditions: str, folder: Path) -> None:
    """`engine.json` and `engine.md`."""
    (folder / "engine.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    lines = [
        "# How fast the engines are",
        "",
        f"Qwen2.5-Coder 0.5B where nothing else is said; {conditions}. {ABSENT}",
        "",
        "![](engine.svg)",
        "",
    ]
    lines += ["| goal | wanted | figure | | n | range |", "|---|---|---|---|---|---|"]
    for row in rows:
        spread = f"{row.least:.3g}–{row.most:.3g}" if row.n > 1 else ""
        lines.append(f"| {row.goal} | {row.wanted} | {row.found} | {row.verdict} | {row.n} | {spread} |")
    (folder / "engine.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw(ledger: Ledger, path: Path) -> None:
    """Bars for reading and writing, and the gain from drafting, edit by edit."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(15, 4.5), layout="constrained")
    names = ledger.names()
    paces = {name: [timing.pace for timing in ledger.timings("chat", name)] for name in names}
    reads = {name: [length / timing.first for length, timing in ledger.with_lengths("prompt", name)] for name in names}
    for axis, title, found in ((axes[0], "writing, tokens a second", paces), (axes[1], "reading, tokens a second", reads)):
        shown = {name: statistics.median(values) for name, values in found.items() if values}
        axis.barh(list(shown), list(shown.values()), color=["#c62828" if "ours" in name else "#90a4ae" for name in shown])
        axis.invert_yaxis()
        axis.set_title(title)
    for held, colour in (("int8", "#c62828"), ("int4", "#6a1b9a")):
        pairs = list(ledger.pairs("edit", f"ours {held}, no drafts", f"ours {held}"))
        gains = [(plain.whole - plain.first) / (ours.whole - ours.first) for plain, ours in pairs]
        axes[2].scatter([ours.copied for _, ours in pairs], gains, color=colour, label=held)
    axes[2].legend()
    axes[2].axhline(6, color="#90a4ae", linestyle="--")
    axes[2].set(
        title="edits: gain from drafting", xlabel="share of the reply that stands in the old text", ylabel="times as fast"
    )
    figure.savefig(path)
    plt.close(figure)
