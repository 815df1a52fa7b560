"""Carrying an edit over what happened to the text while the model was thinking."""

from __future__ import annotations

from assistant import diff
from assistant.edits import Change, EditPlan
from assistant.errors import EditConflict
from assistant.lines import body, line_starts, split_lines
from assistant.region import Region


def rebase(plan: EditPlan, region: Region, before: str, now: str) -> EditPlan:
    """`plan`, made for `region` of `before`, as a plan for `now`.

    The text around the region may have changed and moved it; the region itself must be there as it was, and only where it was.

    Raises:
        EditConflict: it is not; `reply` holds the region's new text.
    """
    if before == now:
        return plan
    old, new = split_lines(before), split_lines(now)
    start = _place(region, _padded(old), _padded(new))
    if start is None:
        raise EditConflict(
            "The text was changed where the answer belongs, so it was not applied.",
            "Ask again, or take what you need from the answer.",
            _new_text(plan, region, before),
        )
    shift = line_starts(new)[start] - line_starts(old)[region.start]
    return EditPlan(tuple(Change(each.start + shift, each.end + shift, each.text) for each in plan.changes))


def follow(region: Region, before: str, now: str) -> Region:
    """Where the lines of `region` are now, whatever happened to the text; lines that changed at its edge belong to it."""
    start, end = region.start, region.end
    for hunk in diff.hunks(split_lines(before), split_lines(now)):
        grown = (hunk.new_end - hunk.new_start) - (hunk.end - hunk.start)
        if hunk.end <= region.start:
            start += grown
        elif hunk.start < region.start:
            start = hunk.new_start
        if hunk.end <= region.end and hunk.start < region.end:
            end += grown
        elif hunk.start < region.end:
            end = hunk.new_end
    return Region(start, max(start, end))


def _place(region: Region, old: list[str], new: list[str]) -> int | None:
    """The line of `new` at which the region starts, or None where it is not there as it was, or could be in two places."""
    lines = old[region.start : region.end]
    if lines and not any(new[start : start + len(lines)] == lines for start, line in enumerate(new) if line == lines[0]):
        return None  # no diff need be made to see that
    start = _carried(region, old, new)
    return start if start == _carried_from_the_end(region, old, new) else None


def _carried(region: Region, old: list[str], new: list[str]) -> int | None:
    """The line of `new` at which the region starts, or None where something in it was changed."""
    shift = 0
    for hunk in diff.hunks(old, new):
        if hunk.start >= region.end:
            break
        if hunk.end > region.start:
            return None
        shift = hunk.new_end - hunk.end
    return region.start + shift


def _padded(lines: list[str]) -> list[str]:
    r"""`lines`, the last one with a line end: adding one after the region does not change the region."""
    return [*lines[:-1], body(lines[-1]) + "\n"] if lines and lines[-1] == body(lines[-1]) else lines


def _carried_from_the_end(region: Region, old: list[str], new: list[str]) -> int | None:
    """As `_carried`, with the diff made backwards: another result shows that the region was copied and could be either."""
    mirrored = Region(len(old) - region.end, len(old) - region.start)
    start = _carried(mirrored, old[::-1], new[::-1])
    return None if start is None else len(new) - start - len(region)


def _new_text(plan: EditPlan, region: Region, before: str) -> str:
    starts = line_starts(split_lines(before))
    after = plan.apply(before)
    return after[starts[region.start] : len(after) - (len(before) - starts[region.end])]
