"""Runs a script that draws, inside the cage, and saves what it drew: `python -m assistant.cage.figure SCRIPT PICTURE`.

Figures that the script leaves open are saved as PICTURE and, from the second on, with a number.  A description of each goes to
PICTURE.json: what a checker, or a test, can hold against what was asked for.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EMPTY = 78
"""Exit status where the script ran and drew nothing."""


def main() -> None:
    """Draw; a failure is shown as Python would show it, without what belongs to this module."""
    script, picture = sys.argv[1], Path(sys.argv[2])
    os.environ["MPLBACKEND"] = "Agg"
    import matplotlib.pyplot as plt

    plt.show = lambda *_, **__: None  # there is no screen
    keep, plt.close = plt.close, lambda *_: None  # what was saved and closed is to be described, too
    sys.path.insert(0, str(Path.cwd()))
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise
    except BaseException as error:
        _show(error, script)
        sys.exit(1)
    figures = [plt.figure(number) for number in plt.get_fignums()]
    described = [describe(figure) for figure in figures]
    if not any(axes["drawn"] for figure in described for axes in figure["axes"]):
        print("The script ran, but it drew nothing.")
        sys.exit(EMPTY)
    for number, figure in enumerate(figures):
        figure.savefig(
            picture if number == 0 else picture.with_stem(f"{picture.stem}-{number + 1}"), dpi=150, bbox_inches="tight"
        )
    picture.with_name(f"{picture.name}.json").write_text(json.dumps(described), encoding="utf-8")
    keep("all")


def describe(figure: Figure) -> dict[str, Any]:
    """A figure as plain values: its title; of each of its axes titles, labels, ticks, bars, points, lines, outlines, texts."""
    return {"title": figure.get_suptitle(), "axes": [_axes(axes) for axes in figure.axes]}


def _axes(axes: Axes) -> dict[str, Any]:
    from matplotlib.colors import to_hex
    from matplotlib.patches import Polygon

    bars = [
        {
            "height": float(patch.get_height()),
            "width": float(patch.get_width()),
            "x": float(patch.get_x()),
            "color": to_hex(patch.get_facecolor()),
        }
        for container in axes.containers
        for patch in container
        if hasattr(patch, "get_height")
    ]
    points = [point for group in axes.collections for point in _points(group)]
    outlines = [
        {"color": to_hex(patch.get_facecolor()), "points": _pairs(patch.get_xy())}
        for patch in axes.patches
        if isinstance(patch, Polygon)
    ]
    legend = axes.get_legend()
    return {
        "title": axes.get_title(),
        "x_label": axes.get_xlabel(),
        "y_label": axes.get_ylabel(),
        "x_ticks": [label.get_text() for label in axes.get_xticklabels()],
        "y_ticks": [label.get_text() for label in axes.get_yticklabels()],
        "bars": bars,
        "points": points,
        "lines": [_pairs(line.get_xydata()) for line in axes.lines],
        "outlines": outlines,
        "texts": [text.get_text() for text in axes.texts],
        "background": to_hex(axes.get_facecolor()),
        "grid": any(line.get_visible() for line in (*axes.get_xgridlines(), *axes.get_ygridlines())),
        "legend": [text.get_text() for text in legend.get_texts()] if legend else [],
        "drawn": bool(axes.patches or axes.collections or axes.lines or axes.images or axes.containers),
    }


def _points(group: Artist) -> list[list[float]]:
    """The points of a scatter."""
    from matplotlib.collections import PathCollection

    return _pairs(group.get_offsets()) if isinstance(group, PathCollection) else []


def _pairs(array: object) -> list[list[float]]:
    import numpy as np

    pairs: list[list[float]] = np.asarray(array, dtype=float).reshape(-1, 2).tolist()
    return pairs


def _show(error: BaseException, script: str) -> None:
    """The traceback from the script's own first line on."""
    stack = traceback.extract_tb(error.__traceback__)
    own = next((place for place, frame in enumerate(stack) if frame.filename == script), 0)
    print("Traceback (most recent call last):")
    print("".join(traceback.format_list(stack[own:][:1] + stack[own + 1 :][-2:])), end="")
    print("".join(traceback.format_exception_only(error)), end="")


if __name__ == "__main__":
    main()
