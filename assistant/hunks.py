"""An edit in parts that a person can take or leave one by one."""

from __future__ import annotations

from collections.abc import Iterable

from assistant.edits import Change, EditPlan

APART = 6
"""Changes with more lines than this between them are parts of their own, as in a unified diff with three lines of context."""


def hunks(plan: EditPlan, text: str) -> tuple[EditPlan, ...]:
    """The plan for `text` in parts, in order; any of them can be applied without the others."""
    parts: list[list[Change]] = []
    for change in plan.changes:
        near = bool(parts) and _lines_between(text, parts[-1][-1].end, change.start) <= APART
        if near:
            parts[-1].append(change)
        else:
            parts.append([change])
    return tuple(EditPlan(tuple(part)) for part in parts)


def together(parts: Iterable[EditPlan]) -> EditPlan:
    """One plan of these parts of the same plan, given in order."""
    return EditPlan(tuple(change for part in parts for change in part.changes))


def _lines_between(text: str, start: int, end: int) -> int:
    between = text[start:end].replace("\r\n", "\n").replace("\r", "\n")
    return between.count("\n")
