"""Code indented as the document is: by tabs or spaces, and by as many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from assistant import diff
from assistant.languages import Language
from assistant.lines import body, indent, is_blank
from assistant.syntax import string_lines


def in_style(code: list[str], old: Sequence[str], lines: Sequence[str], language: Language) -> list[str]:
    """`code` with the unit of indentation of the region's lines `old`, or of all `lines` where those do not tell.

    What the code's own unit is, is told by which conversion gives back most of the old lines, and then by its steps.
    """
    wanted, seen = _unit_of(old, lines), _unit(code)
    if not wanted or not any(map(indent, code)):
        return code
    untouched = wanted if (wanted == "\t") == (seen == "\t") else None
    units = dict.fromkeys(unit for unit in (seen or untouched, untouched, "    ", "  ", "        ", "   ") if unit)
    if seen == "\t":
        units = {"\t": None}
    options = [code if unit == wanted else _converted(code, unit, wanted, (old, language)) for unit in units]
    return max(options, key=lambda option: _likeness(option, old))


def realigned(code: list[str], old: Sequence[str], unit: str) -> list[str]:
    """`code`, where lines that were aligned to a column, not to a step, are so again while the lines above stay as deep."""
    result = list(code)
    in_step = True
    for mine, theirs in _pairs([line.strip() for line in code], [line.strip() for line in old]):
        depth = indent(old[theirs])
        if depth == unit * (len(depth) // len(unit)):
            in_step = is_blank(code[mine]) or indent(code[mine]) == depth
        elif in_step:
            result[mine] = depth + code[mine].lstrip(" \t")
    return result


def unit_of_region(old: Sequence[str], lines: Sequence[str]) -> str:
    """The region's unit of indentation, or the document's; four spaces where neither tells."""
    return _unit_of(old, lines) or "    "


def _converted(code: list[str], given: str, wanted: str, region: tuple[Sequence[str], Language]) -> list[str]:
    """`code` with every step of `given` made one of `wanted`; lines inside strings that the region has as they are stay."""
    old, language = region
    inside = string_lines("\n".join(code), language)
    own = {body(line).rstrip() for line in old}
    result = []
    for number, line in enumerate(code):
        new = _reindented(line, given, wanted)
        result.append(line if number in inside and line.rstrip() in own and new.rstrip() not in own else new)
    return result


def _reindented(line: str, given: str, wanted: str) -> str:
    depth = indent(line)
    width = len(given) if given != "\t" else 8 if wanted == "\t" else len(wanted)
    levels, rest = divmod(len(depth.expandtabs(width)), width)
    return wanted * levels + " " * rest + line[len(depth) :]


def _likeness(code: Sequence[str], old: Sequence[str]) -> int:
    return sum(1 for _ in _pairs(_relative(code), _relative([body(line) for line in old])))


def _relative(lines: Sequence[str]) -> list[str]:
    """`lines` without the first one's indentation."""
    first = next((indent(line) for line in lines if not is_blank(line)), "")
    return [line.removeprefix(first).rstrip() for line in lines]


def _pairs(new: Sequence[str], old: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The indices of equal lines, in `new` and in `old`."""
    mine = theirs = 0
    for hunk in (*diff.hunks(old, new), diff.Hunk(len(old), len(old), len(new), len(new))):
        yield from zip(range(mine, hunk.new_start), range(theirs, hunk.start), strict=True)
        mine, theirs = hunk.new_end, hunk.end


def _unit_of(old: Sequence[str], lines: Sequence[str]) -> str:
    unit = _unit(old)
    if unit == "\t":
        return unit
    spaced = any(line.startswith(" ") for line in old)
    return _unit([line for line in lines if not (spaced and line.startswith("\t"))]) or unit


def _unit(lines: Sequence[str]) -> str:
    """One step of indentation: a tab, two to eight spaces, or nothing where no line tells."""
    depths = [indent(line) for line in lines if not is_blank(line)]
    tabs = sum(depth.startswith("\t") for depth in depths)
    if tabs and 2 * tabs >= sum(map(bool, depths)):
        return "\t"
    widths = [len(depth) for depth in depths if "\t" not in depth]
    steps = Counter(b - a for a, b in pairwise(widths) if b - a in (2, 3, 4, 8))
    return " " * steps.most_common(1)[0][0] if steps else ""
