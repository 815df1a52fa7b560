"""`FILE:10-20` and its relatives."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.cli.options import file_and_lines
from assistant.errors import UsageError


@pytest.mark.parametrize(
    ("given", "path", "lines"),
    [
        ("a.py", "a.py", None),
        ("a.py:7", "a.py", (7, 7)),
        ("src/a.py:10-20", "src/a.py", (10, 20)),
        ("C:/a.py", "C:/a.py", None),
        ("C:/a.py:3-4", "C:/a.py", (3, 4)),
        ("a.py:", "a.py:", None),
        ("a.py:x-3", "a.py:x-3", None),
        ("a.py:3-x", "a.py:3-x", None),
        ("a.py:-3", "a.py:-3", None),
    ],
)
def test_a_range_is_told_from_a_name(given: str, path: str, lines: tuple[int, int] | None) -> None:
    assert file_and_lines(given) == (Path(path), lines)


@pytest.mark.parametrize("given", ["a.py:0", "a.py:0-3", "a.py:5-4"])
def test_ranges_that_make_no_sense_are_refused(given: str) -> None:
    with pytest.raises(UsageError, match="makes no sense"):
        file_and_lines(given)
