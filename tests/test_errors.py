"""The error tree: every failure has a code of its own, a documented exit code, and survives the wire."""

from __future__ import annotations

import re

import pytest

from assistant import errors
from assistant.errors import AssistantError, HostError, NoEdit, every_error, from_code
from assistant.refusals import BrokenSyntax

# Modules may have errors of their own inside, such as one that decides between two sources; users meet these here.
TREE = [error for error in every_error() if error.__module__ in ("assistant.errors", "assistant.refusals")]
assert BrokenSyntax in TREE


def test_codes_are_unique() -> None:
    codes = [error.code for error in TREE]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("error", TREE, ids=lambda error: error.__name__)
def test_the_docstring_lists_each_error_with_its_numbers(error: type[AssistantError]) -> None:
    if error.__module__ == "assistant.refusals":
        assert error.exit_code == NoEdit.exit_code
    elif error is not AssistantError:
        assert error.__module__ == "assistant.errors"
        row = re.search(rf"{error.__name__} +(\d+) +(\d+) ", errors.__doc__ or "")
        assert row, f"{error.__name__} is missing"
        assert (int(row[1]), int(row[2])) == (error.exit_code, error.status)


@pytest.mark.parametrize("error", TREE[1:], ids=lambda error: error.__name__)
def test_the_wire_brings_the_same_error_back(error: type[AssistantError]) -> None:
    back = from_code(error.code, "What.", "Do this.")
    assert type(back) is error
    assert str(back) == "What. Do this."


def test_an_unknown_code_is_a_host_error() -> None:
    assert type(from_code("nonsense", "x")) is HostError
