"""Edits as properties: only the region changes, the plan is minimal, and its inverse gives the bytes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from assistant.document import Document
from assistant.edits import Change, EditPlan, Region, region_of, rewrite
from assistant.errors import InputError, NoEdit, UsageError
from assistant.languages import PYTHON, language_of
from assistant.lines import body, end, line_starts, split_lines

ENDS = st.sampled_from(["\n", "\r\n", "\r"])
WORDS = st.sampled_from(["alpha", "beta", "gamma", "beta ", "a\x0cb", "a\x85b", "a\u2028b", "🌍x", "", "}", "\t"])
quick = settings(max_examples=150, deadline=None, derandomize=True)


@st.composite
def texts(draw: st.DrawFn, least: int = 1) -> str:
    ends = draw(st.sampled_from([st.just("\n"), st.just("\r\n"), st.just("\r"), ENDS]))
    lines = [draw(WORDS) + draw(ends) for _ in range(draw(st.integers(least, 9)))]
    text = "".join(lines)
    return text if draw(st.booleans()) else text.rstrip("\r\n") + "z"


def document(text: str, name: str = "notes.txt") -> Document:
    return Document(Path(name), text, raw=text.encode(), language=language_of(name))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Document, Region, str]:
    source = document(draw(texts()))
    count = len(split_lines(source.text))
    first = draw(st.integers(1, count))
    region = region_of(source, (first, draw(st.integers(first, count))))
    own = [body(line) for line in split_lines(source.text)[region.start : region.end]]
    # Words that stand nowhere else: a reply that repeats its surroundings is another test's business.
    lines = draw(st.lists(st.sampled_from(["one", "two two", "three\u2028", *own]), min_size=1, max_size=9))
    return source, region, draw(ENDS).join(lines)


def split(source: Document, region: Region) -> tuple[str, str, str]:
    starts = line_starts(split_lines(source.text))
    start, stop = starts[region.start], starts[region.end]
    return source.text[:start], source.text[start:stop], source.text[stop:]


def planned(source: Document, region: Region, code: str) -> EditPlan:
    try:
        return rewrite(source, region, code)
    except NoEdit:
        assume(False)
        raise


@quick
@given(cases())
def test_nothing_outside_the_region_changes(case):
    source, region, code = case
    before, _, after = split(source, region)
    result = planned(source, region, code).apply(source.text)
    assert result.startswith(before) and result.endswith(after) and len(result) >= len(before) + len(after)
    inside = split_lines(result)[region.start : len(split_lines(result)) - len(split_lines(after))]
    assert len(split_lines(before)) + len(inside) + len(split_lines(after)) == len(split_lines(result)), (
        "line ends ran together"
    )


@quick
@given(cases())
def test_the_region_becomes_the_code(case):
    source, region, code = case
    before, _, after = split(source, region)
    result = planned(source, region, code).apply(source.text)
    inside = result[len(before) : len(result) - len(after)]
    assert [body(line).strip() for line in split_lines(inside) if line.strip()] == [
        body(line).strip() for line in split_lines(code) if line.strip()
    ]
    assert bool(end(result[-2:])) == bool(end(source.text[-2:])), "the final newline stays as it was"


@quick
@given(cases())
def test_the_inverse_restores_every_byte(case):
    source, region, code = case
    plan = planned(source, region, code)
    assert plan.inverse(source.text).apply(plan.apply(source.text)) == source.text


@quick
@given(cases())
def test_lines_that_stay_keep_their_line_ends_and_the_plan_touches_no_other(case):
    source, region, code = case
    plan = planned(source, region, code)
    removed, added = plan.changed_lines(source.text)
    old, new = split_lines(source.text), split_lines(plan.apply(source.text))
    common = longest_common(old, new)
    assert (removed, added) == (len(old) - common, len(new) - common)
    assert sum(change.end - change.start for change in plan.changes) <= sum(
        sorted(map(len, old))[-removed:] if removed else [0]
    )


def longest_common(old: list[str], new: list[str]) -> int:
    row = [0] * (len(new) + 1)
    for one in old:
        corner = 0
        for column, other in enumerate(new, 1):
            corner, row[column] = row[column], corner + 1 if one == other else max(row[column], row[column - 1])
    return row[-1]


@pytest.mark.parametrize(
    ("lines", "says"), [((0, 1), "3 lines"), ((2, 1), "1-2"), ((1, 4), "3 lines"), ((4, 4), "3 lines"), ((-1, 2), "3 lines")]
)
def test_a_range_that_is_none_is_refused_with_the_number_of_lines(lines, says):
    with pytest.raises(InputError) as refused:
        region_of(document("a\nb\nc\n"), lines)
    assert says in str(refused.value)


def test_a_region_is_whole_lines():
    source = document("a\nb\r\nc")
    assert region_of(source, None) == Region(0, 3)
    assert region_of(source, (2, 3)) == Region(1, 3)
    assert region_of(document("a\n"), None) == Region(0, 1)


def test_changes_must_be_in_order_and_apart():
    with pytest.raises(UsageError):
        EditPlan((Change(2, 4, "x"), Change(3, 5, "y")))
    with pytest.raises(UsageError):
        EditPlan((Change(4, 2, "x"),))
    with pytest.raises(UsageError):
        EditPlan((Change(0, 9, "x"),)).apply("short")
    assert EditPlan((Change(0, 1, "x"), Change(1, 2, "y"))).apply("abc") == "xyc"


STYLES = {
    "tabs": ("class A:\n\tdef f(self):\n\t\treturn 1\n", "    def f(self):\n        return 2\n"),
    "tabs, dedented": ("class A:\n\tdef f(self):\n\t\treturn 1\n", "def f(self):\n    return 2\n"),
    "two spaces": ("class A:\n  def f(self):\n    return 1\n", "    def f(self):\n        return 2\n"),
    "spaces for tabs": ("class A:\n    def f(self):\n        return 1\n", "def f(self):\n\treturn 2\n"),
    "crlf": ("class A:\r\n    def f(self):\r\n        return 1\r\n", "def f(self):\n    return 2\n"),
    "cr": ("class A:\r    def f(self):\r        return 1\r", "def f(self):\n    return 2\n"),
    "no newline at the end": ("class A:\n    def f(self):\n        return 1", "def f(self):\n    return 2\n"),
}


@pytest.mark.parametrize("name", STYLES)
def test_the_code_takes_on_the_documents_manner(name):
    text, code = STYLES[name]
    source = document(text, "a.py")
    assert rewrite(source, region_of(source, (2, 3)), code).apply(text) == text.replace("1", "2")


def test_the_inside_of_a_string_keeps_its_columns():
    text = 'class A:\n    def f(self):\n        x = """\nat the left\n    deeper\n"""\n        return 1\n'
    code = 'def f(self):\n    x = """\nat the left\n    deeper\n"""\n    return 2\n'
    source = document(text, "a.py")
    assert rewrite(source, region_of(source, (2, 7)), code).apply(text) == text.replace("1", "2")


def test_trailing_blanks_stay_unless_they_are_all_that_changes():
    text = "def f():  \n    a = 1 \n    return a\n"
    source = document(text, "a.py")
    plan = rewrite(source, region_of(source, None), "def f():\n    a = 1\n    return a + 1\n")
    assert plan.apply(text) == text.replace("return a", "return a + 1")
    assert rewrite(source, region_of(source, None), "def f():\n    a = 1\n    return a\n").apply(text) == text.replace(
        " \n", "\n"
    ).replace(" \n", "\n")


def test_an_added_last_line_leaves_the_others_alone():
    source = document("a\nb")
    assert rewrite(source, region_of(source, None), "a\nb\nc").changes == (Change(3, 3, "\nc"),)


def test_two_small_changes_are_two_edits():
    text = "".join(f"line {number}\n" for number in range(9))
    source = document(text)
    plan = rewrite(source, region_of(source, None), text.replace("line 2", "second").replace("line 7", "seventh"))
    assert [text[change.start : change.end] for change in plan.changes] == ["line 2\n", "line 7\n"]


def test_an_import_that_moves_out_of_the_function_is_kept() -> None:
    text = '"""Doc."""\n\n\ndef f(x):\n    import math\n\n    return math.sqrt(x)\n'
    code = '"""Doc."""\n\nimport math\n\n\ndef f(x):\n    return math.sin(x)\n'
    document = Document(None, text, language=PYTHON)
    after = rewrite(document, Region(3, 7), code).apply(text)
    assert after == '"""Doc."""\n\n\nimport math\n\n\ndef f(x):\n    return math.sin(x)\n'


def test_the_docstring_of_the_file_is_not_repeated() -> None:
    text = '"""Doc, long."""\n\n\ndef f(x):\n    """Own."""\n    return x\n'
    document = Document(None, text, language=PYTHON)
    code = '"""Doc."""\nimport math\n\ndef f(x):\n    """Own."""\n    return math.sin(x)\n'
    after = rewrite(document, Region(3, 6), code).apply(text)
    assert after == text.replace("return x", "return math.sin(x)").replace("def f", "import math\n\ndef f")
    whole = rewrite(document, Region(0, 6), code).apply(text)
    assert whole.startswith('"""Doc."""\n')


@pytest.mark.parametrize("lines", [(1, 3), (2, 3), (3, 3)])
def test_a_changed_line_behind_the_selection_is_not_put_beside_the_old_one(lines: tuple[int, int]) -> None:
    source = document(
        "def gcd(a, b):\n    if b == 0:\n        return a\n    return gcd(a % b, b)\n\n\ndef f():\n    pass\n", "x.py"
    )
    region = region_of(source, lines)
    own = split_lines(source.text)[region.start : region.end]
    with pytest.raises(NoEdit, match=r"goes on behind the selection|as a whole"):
        rewrite(source, region, "".join(own) + "    return gcd(b, a % b)\n")
    assert rewrite(source, region, "".join(own).replace("return a", "return abs(a)")).changes


def test_a_line_that_is_added_at_the_end_of_a_selection_stays() -> None:
    source = document("def f(a):\n    x = a\n    y = x * 2\n    return [x, y]\n", "x.py")
    assert rewrite(source, region_of(source, (2, 2)), "    x = a\n    print('x is', x)\n").changes
