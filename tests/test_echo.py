"""Repeated surroundings are cut only where that is certain."""

from __future__ import annotations

import pytest

from assistant.echo import without_echo
from assistant.refusals import NoCode, Unclear

BEFORE = ["import os", "", "def f(a):", "    b = g(a)", "    if b:"]
OLD = ["        c = 1", "        d = 2"]
AFTER = ["    return c + d", "", "def h(a):", "    return 0"]
NEW = ["        c = 3", "        d = 4"]


@pytest.mark.parametrize("head", range(6))
@pytest.mark.parametrize("tail", range(5))
def test_any_run_of_surrounding_lines_is_cut_or_refused(head, tail):
    code = BEFORE[len(BEFORE) - head :] + NEW + AFTER[:tail]
    if (head, tail) in ((0, 1), (0, 2)):  # one plain line
        with pytest.raises(Unclear):
            without_echo(BEFORE, OLD, AFTER, code)
    else:
        assert without_echo(BEFORE, OLD, AFTER, code) == NEW


def test_what_the_region_has_itself_is_not_cut():
    before, old, after = ["x()", "y()"], ["x()", "y()", "z()"], ["y()", "z()"]
    assert without_echo(before, old, after, ["x()", "y()", "z()"]) == ["x()", "y()", "z()"]


def test_a_line_that_may_be_meant_twice_is_refused():
    with pytest.raises(Unclear):
        without_echo(["    x = f(x)"], ["    return x"], [], ["    x = f(x)", "    return x + 1"])


def test_the_same_words_at_another_depth_are_no_echo():
    old, after = ["    if a:", "        log()"], ["    return x", "    y()"]
    code = ["if a:", "    return x"]
    assert without_echo([], old, after, code) == code


def test_common_lines_are_no_echo():
    code = ["pass", "x = 3", "return"]
    assert without_echo(["pass"], ["x = 1"], ["return"], code) == code


def test_a_closing_bracket_is_cut_where_brackets_then_match():
    assert without_echo(["f() {"], ["  a();"], ["}", "g();"], ["  b();", "}"]) == ["  b();"]
    whole = ["  if (b) {", "    a();", "  }"]
    assert without_echo(["f() {"], ["  a();"], ["  }", "}"], whole) == whole


def test_nothing_but_surroundings_is_no_code():
    with pytest.raises(NoCode):
        without_echo(BEFORE, OLD, AFTER, BEFORE[2:])
