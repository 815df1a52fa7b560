"""What an editor made of an edit is told from its text: all, some of it, something else, or something in a wrong place."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.edits import Change, EditPlan
from server.verifying import shows, taken

BEFORE = "import os\n\n\ndef total(values):\n    result = 0\n    for value in values:\n        result += 1\n    return result\n"


def plan_for(*pairs: tuple[str, str]) -> EditPlan:
    places = [(BEFORE.index(old), old, new) for old, new in pairs]
    return EditPlan(tuple(Change(place, place + len(old), new) for place, old, new in sorted(places)))


PLAN = plan_for(("import os\n", ""), ("result += 1", "result += value"), ("    return", "    print(result)\n    return"))


def test_what_was_wanted_is_seen_under_typing_and_formatting() -> None:
    wanted = PLAN.apply(BEFORE)
    assert shows(wanted, PLAN, BEFORE)
    assert shows("# typed\n" + wanted + "typed = 1\n", PLAN, BEFORE)
    assert shows(wanted.replace("    ", "\t").replace("\n\n\n", "\n\n"), PLAN, BEFORE)
    assert not shows(BEFORE, PLAN, BEFORE)


def test_an_edit_in_a_wrong_place_is_not_taken_for_it() -> None:
    """A careless client makes the edit of an older text, by line numbers, after a line was typed above."""
    typed = "# typed\n"
    now = typed + BEFORE
    for old, new in (
        ("    result = 0\n", ""),
        ("    return", "    print(result)\n    return"),
        ("value in values", "value in set(values)"),
    ):
        plan = plan_for((old, new))
        assert not shows(plan.apply(now), plan, BEFORE), old
        assert shows(typed + plan.apply(BEFORE), plan, BEFORE), old


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_the_changes_that_were_taken_are_found(seed: int) -> None:
    chance = random.Random(seed)
    text = "".join(chance.choices("ab\n", k=40))
    cuts = sorted(chance.sample(range(41), 8))
    spans = zip(cuts[::2], cuts[1::2], strict=True)
    plan = EditPlan(tuple(Change(start, end, "".join(chance.choices("abc\n", k=chance.randrange(4)))) for start, end in spans))
    some = EditPlan(tuple(change for change in plan.changes if chance.random() < 0.5))
    after = some.apply(text)
    found = taken(plan, text, after)
    assert found is not None
    assert found.apply(text) == after
    assert found.inverse(text).apply(after) == text
    assert taken(plan, text, after + "x") is None
