"""The model is shown the region whole and its surroundings within the budget; what is left out is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.context import attachments_text, check_room, fence_for, fenced, shown_path, shown_region, surroundings
from assistant.document import Document
from assistant.edits import Region
from assistant.errors import ContextOverflow
from assistant.languages import PYTHON
from assistant.reply import parse

LINES = ["import os\n", "from sys import path\n", *[f"x{number} = {number}\n" for number in range(300)]]
SOURCE = Document(Path("src/a.py"), "".join(LINES), language=PYTHON)
REGION = Region(150, 153)


def count(text: str) -> int:
    return len(text.split())


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet="`~a\n ", max_size=40))
def test_no_text_closes_its_own_fence(text):
    reply = parse(fenced(text) + "\nafter")
    assert [block.code for block in reply.blocks] == [text if text.endswith("\n") else text + "\n"]
    assert reply.prose == "after" and fence_for(text) not in text


def test_the_region_is_shown_with_its_path_language_and_lines():
    assert shown_region(SOURCE, REGION) == (
        "`src/a.py` (Python), lines 151 to 153:\n\n```python\nx148 = 148\nx149 = 149\nx150 = 150\n```"
    )


@pytest.mark.parametrize("budget", [0, 1, 20, 60, 150, 400, 10_000])
def test_surroundings_stay_within_the_budget_and_say_what_is_missing(budget):
    shown = surroundings(SOURCE, REGION, budget, count)
    assert count(shown.text) <= budget
    seen = sum(f"x{number} = {number}\n" in shown.text for number in range(300))
    missing = 302 - 3 - seen - 2 if shown.text else 302 - 3
    assert str(missing if not shown.text else missing + 2) in shown.left_out[0].replace(",", "")
    if budget == 10_000:
        assert "x147 = 147" in shown.text and "x151 = 151" in shown.text and "import os" in shown.text
        assert "x148" not in shown.text, "the region itself is shown once, elsewhere"


def test_all_of_a_short_text_is_shown_and_nothing_said_to_be_missing():
    source = Document(Path("a.py"), "a = 1\nb = 2\nc = 3\n", language=PYTHON)
    shown = surroundings(source, Region(1, 2), 1000, count)
    assert "a = 1" in shown.text and "c = 3" in shown.text and not shown.left_out
    assert surroundings(source, Region(0, 3), 1000, count).text == ""


def test_attachments_are_shown_whole_under_their_names():
    text = attachments_text([SOURCE, Document(Path("b.md"), "```\ncode\n```\r\n")], "from a pipe\n")
    assert "`src/a.py` (Python):" in text and "x299 = 299" in text
    assert "````text\n```\ncode\n```\n````" in text
    assert text.endswith("The text from standard input:\n\n```\nfrom a pipe\n```")
    assert attachments_text([]) == ""


def test_no_prompt_tells_where_files_lie(tmp_path):
    assert shown_path(tmp_path / "secret" / "a.py") == "a.py"
    assert shown_path(Path.cwd() / "src" / "a.py") == "src/a.py"
    assert shown_path(None) == "untitled"


def test_a_region_without_room_is_refused_with_numbers():
    assert check_room(100, 870, 1000) == 130
    with pytest.raises(ContextOverflow) as refused:
        check_room(1000, 1200, 2499)
    assert all(number in refused.value.message for number in ("1,000", "1,200", "1,300", "2,499"))
