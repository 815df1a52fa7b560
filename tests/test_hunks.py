"""Whatever parts of an edit are taken, the text is the old one with exactly these."""

from __future__ import annotations

from itertools import compress

from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.document import Document
from assistant.edits import EditPlan, Region, rewrite
from assistant.hunks import APART, hunks, together
from assistant.languages import language_named
from assistant.lines import split_lines
from assistant.refusals import NoChange, NoCode

PROSE = language_named("markdown")
LINE = st.sampled_from(["one", "two", "three four", "fünf"])
END = st.sampled_from(["\n", "\r\n"])


def sparse(lines: list[str], places: list[int], kind: list[str]) -> list[str]:
    """`lines` with something changed at each of `places`."""
    after = list(lines)
    for place, what in zip(sorted(set(places), reverse=True), kind, strict=False):
        if place < len(after):
            after[place : place + (what != "insert")] = [] if what == "delete" else ["changed" + str(place)]
    return after


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(LINE, min_size=20, max_size=60),
    st.lists(st.integers(0, 59), min_size=1, max_size=6),
    st.lists(st.sampled_from(["replace", "delete", "insert"]), min_size=6, max_size=6),
    END,
    st.lists(st.booleans(), min_size=12, max_size=12),
    st.booleans(),
)
def test_any_choice_of_parts_is_the_old_text_with_exactly_these(lines, places, kind, end, choice, final):
    text = end.join(lines) + (end if final else "")
    document = Document(None, text, language=PROSE)
    try:
        plan = rewrite(document, Region(0, len(lines)), "\n".join(sparse(lines, places, kind)))
    except (NoChange, NoCode):
        return
    parts = hunks(plan, text)
    assert together(parts) == plan
    taken = list(compress(parts, choice))
    after = together(taken).apply(text)
    assert after == expected(text, parts, choice)
    rest = [part for part in parts if part not in taken]
    assert together(sorted([*taken, *rest], key=lambda part: part.changes[0].start)).apply(text) == plan.apply(text)
    assert together(taken).inverse(text).apply(after) == text


def expected(text: str, parts: tuple[EditPlan, ...], choice: list[bool]) -> str:
    """From the last part to the first, each alone: none moves another's place."""
    for part, wanted in reversed(list(zip(parts, choice, strict=False))):
        for change in reversed(part.changes) if wanted else ():
            text = text[: change.start] + change.text + text[change.end :]
    return text


def test_parts_are_those_of_a_unified_diff():
    lines = [f"line {number}" for number in range(40)]
    for gap, count in ((APART, 1), (APART + 1, 2)):
        after = [line + "!" if number in (5, 6 + gap) else line for number, line in enumerate(lines)]
        text = "\n".join(lines) + "\n"
        plan = rewrite(Document(None, text, language=PROSE), Region(0, 40), "\n".join(after))
        assert len(hunks(plan, text)) == count, gap
        assert len(split_lines(plan.apply(text))) == 40
