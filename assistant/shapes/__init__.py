"""Outlines of countries for maps: Natural Earth, 1:110 million, public domain; made by scripts/make_world_shapes.py."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

Outline = list[tuple[float, float]]


def countries() -> dict[str, list[Outline]]:
    """Each country's English name and its outlines: lists of (longitude, latitude) in degrees, the last point being the first.

    for name, outlines in countries().items():
        for outline in outlines:
            axes.fill(*zip(*outline), color="red" if name in ("Germany", "Spain") else "lightgray")
    """
    return {name: [list(outline) for outline in outlines] for name, outlines in _world().items()}


@cache
def _world() -> dict[str, list[Outline]]:
    raw = json.loads(files(__name__).joinpath("world.json").read_text(encoding="utf-8"))
    return {name: [[(x, y) for x, y in outline] for outline in outlines] for name, outlines in raw.items()}
