"""A change of several parts, taken part by part on a terminal."""

from __future__ import annotations

import sys

from assistant.cli.terminal import confirm, print_diff, prompted
from assistant.document import Document
from assistant.edits import EditPlan, unified_diff
from assistant.hunks import hunks, together
from assistant.syntax import problems

_KEYS = """\
y  make this change
n  leave it out
a  make this one and all that follow
q  stop here: make those chosen so far
e  end: change nothing"""


def chosen(document: Document, plan: EditPlan) -> EditPlan:
    """Show the plan and ask, part by part where it has several; what is returned holds the parts that were agreed to."""
    parts = hunks(plan, document.text)
    if len(parts) == 1:
        print_diff(unified_diff(document, plan))
        return plan if confirm("Make this change?", default=True) else EditPlan(())
    taken: list[EditPlan] = []
    for number, part in enumerate(parts, start=1):
        print_diff(unified_diff(document, part))
        match _key(f"Change {number} of {len(parts)}. Make it?"):
            case "y":
                taken.append(part)
            case "a":
                taken += parts[number - 1 :]
                break
            case "q":
                break
            case "e":
                taken = []
                break
    return _sound(document, together(taken))


def _key(question: str) -> str:
    """One of the keys; an end of input ends it all."""
    while True:
        answer = prompted(f"{question} [Y/n/a/q/e/?] ")
        if answer is None:
            return "e"
        key = answer[:1] or "y"
        if key in "ynaqe":
            return key
        print(_KEYS, file=sys.stderr)


def _sound(document: Document, plan: EditPlan) -> EditPlan:
    """The plan, unless its parts alone break the syntax and the user would rather not have them."""
    after = plan.apply(document.text)
    if len(problems(after, document.language)) <= len(problems(document.text, document.language)):
        return plan
    kept = confirm("With these parts alone the file does not parse. Make the change all the same?", default=False)
    return plan if kept else EditPlan(())
