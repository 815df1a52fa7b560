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
    start = _carried(region, _padded(old), _padded(new))
    if start is None or _ambiguous(old[region.start : region.end], old, new):
        raise EditConflict(
            "The text was changed where the answer belongs, so it was not applied.",
            "Ask again, or take what you need from the answer.",
            _new_text(plan, region, before),
        )
    shift = line_starts(new)[start] - line_starts(old)[region.start]
    return EditPlan(tuple(Change(each.start + shift, each.end + shift, each.text) for each in plan.changes))


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


def _ambiguous(own: list[str], old: list[str], new: list[str]) -> bool:
    """Whether the region's text stands in `new` more often than in `old`, so that it cannot be told which one it is."""
    return _occurrences(own, new) > _occurrences(own, old)


def _occurrences(own: list[str], lines: list[str]) -> int:
    bodies, wanted = [body(line) for line in lines], [body(line) for line in own]
    return sum(bodies[start : start + len(wanted)] == wanted for start in range(len(bodies) - len(wanted) + 1))


def _new_text(plan: EditPlan, region: Region, before: str) -> str:
    starts = line_starts(split_lines(before))
    after = plan.apply(before)
    return after[starts[region.start] : len(after) - (len(before) - starts[region.end])]
