r"""The smallest line diff (Myers, "An O(ND) Difference Algorithm and Its Variations", 1986), and unified diffs made of it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

MAX_DIFFERENCES = 600
"""Above this many removed and added lines the search, quadratic in them, gives way to one that may miss the minimum."""


MAX_PRODUCT = 1_000_000
"""Above this many pairs of lines that search, too, gives way: a file that a formatter went over took it minutes."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """`old[start:end]` becomes `new[new_start:new_end]`; one of the two may be empty, and lines around it are equal."""

    start: int
    end: int
    new_start: int
    new_end: int


def hunks(old: Sequence[Hashable], new: Sequence[Hashable]) -> tuple[Hunk, ...]:
    """What makes `new` of `old`, in order, with as few removed and added items as can be."""
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    pairs = _matches(old[head : len(old) - tail], new[head : len(new) - tail])
    return tuple(_gaps([(x + head, y + head) for x, y in pairs], head, (len(old) - tail, len(new) - tail)))


def unified(old: str, new: str, name: str) -> str:
    r"""A unified diff with three lines of context that `patch -p1` and `git apply` accept; empty where nothing differs.

    `name` is the file's path, relative and with forward slashes.  As those tools do, it counts lines by `\n` alone.
    """
    before, after = _by_newline(old), _by_newline(new)
    groups = list(_grouped(hunks(before, after)))
    if not groups:
        return ""
    header = f"--- {_header(f'a/{name}')}\n+++ {_header(f'b/{name}')}\n"
    return header + "".join(_section(group, before, after) for group in groups)


def _common(old: Sequence[Hashable], new: Sequence[Hashable]) -> int:
    length = 0
    for one, other in zip(old, new, strict=False):
        if one != other:
            break
        length += 1
    return length


def _gaps(pairs: Sequence[tuple[int, int]], head: int, ends: tuple[int, int]) -> Iterator[Hunk]:
    x, y = head, head
    for old, new in [*pairs, ends]:
        if old > x or new > y:
            yield Hunk(x, old, y, new)
        x, y = old + 1, new + 1


def _matches(old: Sequence[Hashable], new: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Pairs of indices of a longest common subsequence."""
    reached: dict[int, int] = {1: 0}
    trace: list[dict[int, int]] = []
    for edits in range(min(len(old) + len(new), MAX_DIFFERENCES) + 1):
        trace.append(dict(reached))
        for diagonal in range(-edits, edits + 1, 2):
            down = diagonal == -edits or (diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1])
            x = reached[diagonal + 1] if down else reached[diagonal - 1] + 1
            while x < len(old) and x - diagonal < len(new) and old[x] == new[x - diagonal]:
                x += 1
            reached[diagonal] = x
            if x >= len(old) and x - diagonal >= len(new):
                return _walk_back(trace, len(old), len(new))
    if len(old) * len(new) > MAX_PRODUCT:
        return _anchored(old, new)
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    return [(block.a + step, block.b + step) for block in blocks for step in range(block.size)]


def _anchored(old: Sequence[Hashable], new: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Pairs of lines that occur once in both, as many as are in the same order, and of what is equal next to them."""
    found: list[tuple[int, int]] = []
    anchors = _in_order(_once_in_both(old, new))
    for number, (x, y) in enumerate(anchors):
        least = found[-1] if found else (-1, -1)
        most = anchors[number + 1] if number + 1 < len(anchors) else (len(old), len(new))
        if x <= least[0] or y <= least[1]:
            continue  # it was reached from the anchor before
        back = 0
        while x - back - 1 > least[0] and y - back - 1 > least[1] and old[x - back - 1] == new[y - back - 1]:
            back += 1
        ahead = 1
        while x + ahead < most[0] and y + ahead < most[1] and old[x + ahead] == new[y + ahead]:
            ahead += 1
        found += [(x + step, y + step) for step in range(-back, ahead)]
    return found


def _once_in_both(old: Sequence[Hashable], new: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Where lines stand that neither text repeats, in the order of `old`."""
    counts, others = Counter(old), Counter(new)
    places = {line: place for place, line in enumerate(new) if others[line] == 1}
    return [(place, places[line]) for place, line in enumerate(old) if counts[line] == 1 and line in places]


def _in_order(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """As many pairs as can be whose second numbers rise, by patience sorting."""
    ends: list[int] = []  # the least second number in which a run of each length ends
    last: list[int] = []  # the pair that it is
    before: list[int] = []
    for number, (_, y) in enumerate(pairs):
        length = bisect_left(ends, y)
        before.append(last[length - 1] if length else -1)
        ends[length : length + 1], last[length : length + 1] = [y], [number]
    chosen, number = [], last[-1] if last else -1
    while number >= 0:
        chosen.append(pairs[number])
        number = before[number]
    return chosen[::-1]


def _walk_back(trace: Sequence[dict[int, int]], x: int, y: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for edits in range(len(trace) - 1, -1, -1):
        reached, diagonal = trace[edits], x - y
        down = diagonal == -edits or (diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1])
        came_from = diagonal + 1 if down else diagonal - 1
        before = reached[came_from] if edits else 0
        entry = before if down else before + 1
        while x > (entry if edits else 0):
            x, y = x - 1, y - 1
            pairs.append((x, y))
        if edits:
            x, y = before, before - came_from
    return pairs[::-1]


def _by_newline(text: str) -> list[str]:
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _grouped(found: Sequence[Hunk], context: int = 3) -> Iterator[list[Hunk]]:
    """Hunks whose contexts touch, together."""
    group: list[Hunk] = []
    for hunk in found:
        if group and hunk.start - group[-1].end > 2 * context:
            yield group
            group = []
        group.append(hunk)
    if group:
        yield group


def _section(group: Sequence[Hunk], before: Sequence[str], after: Sequence[str], context: int = 3) -> str:
    first, last = group[0], group[-1]
    lead = min(context, first.start)
    rest = min(context, len(before) - last.end)
    old = (first.start - lead, last.end + rest)
    new = (first.new_start - lead, last.new_end + rest)
    marked: list[str] = []
    place = old[0]
    for hunk in group:
        marked += [" " + line for line in before[place : hunk.start]]
        marked += ["-" + line for line in before[hunk.start : hunk.end]]
        marked += ["+" + line for line in after[hunk.new_start : hunk.new_end]]
        place = hunk.end
    marked += [" " + line for line in before[place : old[1]]]
    body = "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in marked)
    return f"@@ -{_span(*old)} +{_span(*new)} @@\n{body}"


def _span(start: int, end: int) -> str:
    """Line numbers of a section count from 1; an empty span names the line before it."""
    return f"{start + 1 if end > start else start},{end - start}"


def _header(name: str) -> str:
    """A file name as git writes it: quoted where it must be, and closed by a tab where it holds a space."""
    if any(character in name for character in '"\\\n\t\r'):
        escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
        return '"' + "".join(escapes.get(character, character) for character in name) + '"'
    return name + "\t" if " " in name else name
