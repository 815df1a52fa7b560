"""What became of an edit in the editor, told from the text that it sends next."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from assistant.edits import Change, EditPlan
from assistant.lines import line_starts, split_lines


def shows(text: str, plan: EditPlan, before: str) -> bool:
    """Whether `text` is what `plan` makes of `before`; typing and formatting elsewhere in it is no harm.

    Every change must be there with a line above and below it, so that one in a wrong place is not taken for it.
    """
    wanted = plan.apply(before)
    if text == wanted:
        return True
    squeezed = _squeezed(text)
    return all(_squeezed(piece) in squeezed for piece in _pieces(wanted, plan.inverse(before)))


def taken(plan: EditPlan, before: str, after: str) -> EditPlan | None:
    """The changes of `plan` that `after` shows, where it is `before` with some of them; None where it is anything else."""
    first = plan.changes[0].start
    pending: list[tuple[int, int, tuple[Change, ...]]] = [(0, first, ())] if after.startswith(before[:first]) else []
    seen = set()
    while pending:
        number, place, chosen = pending.pop()
        if number == len(plan.changes):
            if place == len(after):
                return EditPlan(chosen)
        elif (number, place) not in seen:
            seen.add((number, place))
            pending += _continued(plan, before, after, (number, place, chosen))
    return None


def _continued(
    plan: EditPlan, before: str, after: str, state: tuple[int, int, tuple[Change, ...]]
) -> Iterator[tuple[int, int, tuple[Change, ...]]]:
    """The ways to go on from a place of `after`: without the next change, and with it."""
    number, place, chosen = state
    change, following = plan.changes[number], plan.changes[number + 1 : number + 2]
    gap = before[change.end : following[0].start if following else len(before)]
    for text, more in ((before[change.start : change.end], ()), (change.text, (change,))):
        if after.startswith(text + gap, place):
            yield number + 1, place + len(text) + len(gap), (*chosen, *more)


def _pieces(wanted: str, back: EditPlan) -> Iterator[str]:
    """The lines of each change in the new text, with the nearest lines above and below that are not blank."""
    lines = split_lines(wanted)
    starts = line_starts(lines)
    for change in back.changes:
        first = bisect_right(starts, change.start, hi=max(1, len(lines))) - 1
        last = bisect_right(starts, max(change.start, change.end - 1), hi=max(1, len(lines))) - 1
        above = next((n for n in range(first - 1, -1, -1) if lines[n].strip()), first)
        below = next((n for n in range(last + 1, len(lines)) if lines[n].strip()), last)
        yield "".join(lines[above : below + 1])


def _squeezed(text: str) -> str:
    return "".join(text.split())
