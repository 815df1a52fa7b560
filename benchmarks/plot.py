"""Do figures come out as asked?  `make bench-plot` has three drawn, and looks at the figures themselves.

A figure counts if its axes, heights, labels, title and colours are those that were asked for; that its script runs is not
enough.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.shapes import countries

Figure = dict[str, Any]
"""A figure as `assistant.cage.figure` describes it."""

PEOPLE = {"Anna": (168, 31), "Ben": (182, 27), "Carla": (175, 45), "David": (190, 38)}
TEAM = {"Team A": (54, 80), "Team B": (41, 95), "Team C": (62, 71), "Team D": (35, 102)}


@dataclass(frozen=True, slots=True)
class Example:
    """A question, and what is wrong with the figures that came of it."""

    name: str
    question: str
    faults: Callable[[list[Figure]], list[str]]


def bars_faults(figures: list[Figure]) -> list[str]:
    """Two charts in one figure and a style of seaborn's, with the heights and the ages of four people."""
    axes = _axes(figures)
    found = [] if len(figures) == 1 else ["the charts are not side by side in one figure"]
    if not any(each["grid"] or each["background"] != "#ffffff" for each in axes):
        found.append("it is in no style of seaborn's")
    for place, what in enumerate(("height", "age")):
        wanted = sorted(values[place] for values in PEOPLE.values())
        own = [each for each in axes if sorted(round(bar["height"], 3) for bar in each["bars"]) == wanted]
        if not own:
            found.append(f"no chart has the bars of {what} ({wanted})")
            continue
        if set(own[0]["x_ticks"]) != set(PEOPLE):
            found.append(f"the bars of {what} are not labelled with the names: {own[0]['x_ticks']}")
        if what not in (own[0]["y_label"] + own[0]["title"]).lower():
            found.append(f"neither title nor axis says {what}")
    return found


def map_faults(figures: list[Figure]) -> list[str]:
    """A world map where Germany and Spain are red, and nothing else is."""
    outlines = [outline for each in _axes(figures) for outline in each["outlines"]]
    if len(outlines) < 150:
        return [f"{len(outlines)} outlines are no world map"]
    red = {_corner(outline["points"]) for outline in outlines if outline["color"] in ("#ff0000", "#d62728")}
    world = countries()
    wanted = {_corner(outline) for name in ("Germany", "Spain") for outline in world[name]}
    found = [f"{len(wanted - red)} outlines of Germany and Spain are not red"] if wanted - red else []
    return found + ([f"{len(red - wanted)} other outlines are red"] if red - wanted else [])


def scatter_faults(figures: list[Figure]) -> list[str]:
    """A point for each team, at its numbers, with its name beside it; titles on both axes."""
    wanted = sorted([float(x), float(y)] for x, y in TEAM.values())
    own = [each for each in _axes(figures) if sorted(each["points"]) == wanted]
    if not own:
        return [f"no chart has the points {wanted}"]
    chart = own[0]
    shown = set(chart["texts"]) | set(chart["legend"])
    found = [f"{name} is not written" for name in TEAM if not any(name in text for text in shown)]
    found += [f"the {axis} axis has no label" for axis in ("x", "y") if not chart[f"{axis}_label"]]
    return found + ([] if "basketball" in chart["title"].lower() else ["the title does not say basketball"])


EXAMPLES = (
    Example(
        "bars",
        "Two bar charts side by side in a seaborn style, of height in cm and of age in years: "
        + ", ".join(f"{name} is {height} cm and {age}" for name, (height, age) in PEOPLE.items())
        + ". Label the axes and give each chart a title.",
        bars_faults,
    ),
    Example("map", "A map of the world with Germany and Spain in red and all other countries in light gray.", map_faults),
    Example(
        "scatter",
        "A scatter plot of this basketball table, with the team's name beside each point, labelled axes and the title "
        "'Basketball season': "
        + ", ".join(f"{name} has {wins} wins and {points} points" for name, (wins, points) in TEAM.items())
        + ". Wins on the x axis, points on the y axis.",
        scatter_faults,
    ),
)


def main() -> int:
    """Draw each example and say what is wrong with it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plot", description="Measure how many figures come out as asked."
    )
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--keep", type=Path, help="a folder for the pictures")
    options = parser.parse_args()
    first = later = 0
    for example in EXAMPLES:
        with tempfile.TemporaryDirectory(prefix="bench-plot-") as folder:
            begun = time.perf_counter()
            repairs, faults = drawn(example, options.model, options.keep or Path(folder))
            right = not faults
            first, later = first + (right and repairs == 0), later + right
            seconds = time.perf_counter() - begun
            verdict = "right" if right else "; ".join(faults)
            print(f"{example.name:<8} {seconds:5.0f} s  {repairs} repairs  {verdict}", flush=True)
    print(f"{options.model}: {first} of {len(EXAMPLES)} right at once, {later} after at most two repairs")
    return 0


def drawn(example: Example, model: str, folder: Path) -> tuple[int, list[str]]:
    """How often the script was repaired, and what is wrong with the figure."""
    folder.mkdir(parents=True, exist_ok=True)
    program = Path(sys.executable).with_name("assistant")
    command = [str(program), "plot", example.question, "--run", "-y", "--json", "-m", model, "-o", f"{example.name}.png"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if not done.stdout:
        return 0, [done.stderr.strip().splitlines()[-1]]
    shown = json.loads(done.stdout)["plot"]
    if not shown["paths"]:
        return shown["repairs"], [done.stderr.strip().splitlines()[-2]]
    return shown["repairs"], example.faults(shown["figures"])


def _axes(figures: list[Figure]) -> list[dict[str, Any]]:
    return [axes for figure in figures for axes in figure["axes"]]


def _corner(outline: list[Any]) -> tuple[float, float]:
    """What tells one outline from another: its most western point."""
    return min((round(float(x), 3), round(float(y), 3)) for x, y in outline)


if __name__ == "__main__":
    sys.exit(main())
