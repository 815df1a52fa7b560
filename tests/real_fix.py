"""A bug for a real small model, in the shell and in editors: it is fixed inside its function, or the file stays as it was."""

from __future__ import annotations

import ast

SUMS = '''"""Sums."""


def total(numbers):
    """Return the sum of the numbers."""
    result = 0
    for number in numbers:
        result = number
    return result


def untouched( x ):
    return x   # as it was
'''


def check_fix(outcome: str, text: str) -> None:
    """Whether the text is what this outcome promises."""
    if outcome != "applied":
        assert outcome == "no_edit"
        assert text == SUMS
        return
    before, after = SUMS.split("def total"), text.split("def total")
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert after[1].endswith(before[1][before[1].index("\n\n\ndef untouched") :])
    ast.parse(text)
