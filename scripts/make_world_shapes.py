"""Makes assistant/shapes/world.json from Natural Earth's countries at 1:110 million, as TopoJSON carries them.

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    python scripts/make_world_shapes.py package/countries-110m.json

Natural Earth is in the public domain.  TopoJSON's arcs are quantized differences: see its specification, section 2.1.4.
"""

from __future__ import annotations

import json
import sys
from itertools import accumulate
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "assistant" / "shapes" / "world.json"
DIGITS = 1  # a tenth of a degree, about what the scale of the map has

_WHOLE = {
    "W. Sahara": "Western Sahara",
    "Dem. Rep. Congo": "Democratic Republic of the Congo",
    "Dominican Rep.": "Dominican Republic",
}
_WHOLE |= {
    "Falkland Is.": "Falkland Islands",
    "Fr. S. Antarctic Lands": "French Southern and Antarctic Lands",
    "S. Sudan": "South Sudan",
}
_WHOLE |= {"Central African Rep.": "Central African Republic", "Eq. Guinea": "Equatorial Guinea", "eSwatini": "Eswatini"}
_WHOLE |= {"Solomon Is.": "Solomon Islands", "N. Cyprus": "Northern Cyprus", "Bosnia and Herz.": "Bosnia and Herzegovina"}


def main() -> None:
    """Write the shapes: a country's name to its outlines, each a list of longitude and latitude in degrees."""
    topology = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    arcs = [_points(arc, topology["transform"]) for arc in topology["arcs"]]
    shapes = {}
    for country in sorted(topology["objects"]["countries"]["geometries"], key=lambda each: each["properties"]["name"]):
        polygons = country["arcs"] if country["type"] == "MultiPolygon" else [country["arcs"]]
        name = country["properties"]["name"]
        shapes[_WHOLE.get(name, name)] = [part for polygon in polygons for part in _parts(_outline(polygon[0], arcs))]
    TARGET.write_text(json.dumps(shapes, separators=(",", ":"), ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(shapes)} countries, {TARGET.stat().st_size:,} bytes")


def _points(arc: list[list[int]], transform: dict[str, Any]) -> list[tuple[float, float]]:
    (x_scale, y_scale), (x, y) = transform["scale"], transform["translate"]
    steps = list(accumulate(arc, lambda so_far, step: [so_far[0] + step[0], so_far[1] + step[1]]))
    return [(round(a * x_scale + x, DIGITS), round(b * y_scale + y, DIGITS)) for a, b in steps]


def _outline(ring: list[int], arcs: list[list[tuple[float, float]]]) -> list[tuple[float, float]]:
    """A ring's arcs one after the other; a negative index is an arc run through backwards."""
    points: list[tuple[float, float]] = []
    for index in ring:
        arc = arcs[index] if index >= 0 else arcs[~index][::-1]
        points += arc[1:] if points else arc
    return [point for place, point in enumerate(points) if not place or point != points[place - 1]]


def _parts(outline: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """An outline cut where it crosses from one edge of the map to the other; each part is closed."""
    parts: list[list[tuple[float, float]]] = [[]]
    for point in outline:
        if parts[-1] and abs(point[0] - parts[-1][-1][0]) > 180:
            parts.append([])
        parts[-1].append(point)
    if len(parts) > 1 and parts[0][0] == parts[-1][-1]:  # where the outline begins is no cut
        parts = [parts[-1] + parts[0][1:], *parts[1:-1]]
    return [part if part[0] == part[-1] else [*part, part[0]] for part in parts if len(part) > 2]


if __name__ == "__main__":
    main()
