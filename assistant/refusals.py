"""The ways in which an answer can fail to become an edit; the rest of the tree is in `assistant.errors`."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.errors import NoEdit


@dataclass(frozen=True, slots=True)
class Problem:
    """One syntax error: its line, counted from 0, and what is wrong there."""

    line: int
    message: str


class NoCode(NoEdit):
    """The reply holds no code, or code for something else than the region."""

    code = "no_code"


class Truncated(NoEdit):
    """The reply ended before the model was done."""

    code = "truncated"


class NoChange(NoEdit):
    """The reply's code is what stands there already."""

    code = "no_change"


class Elided(NoEdit):
    """The reply leaves code out ("... existing code ..."), so that applying it would delete it."""

    code = "elided"


class Unclear(NoEdit):
    """It cannot be told for certain which part of the reply belongs into the region."""

    code = "unclear"


class CodeChanged(NoEdit):
    """The reply changes code where only comments and documentation may change."""

    code = "code_changed"


class NoMessage(NoEdit):
    """A commit message has not the form that it must have."""

    code = "no_message"


class CopiedCode(NoEdit):
    """A new test file holds a copy of the code that it is to test."""

    code = "copied_code"


class UnknownName(NoEdit):
    """The reply uses a name that is defined nowhere, and that the code did not use before."""

    code = "unknown_name"


class Unverified(NoEdit):
    """The user's check failed before and passes with no candidate; the best one has been shown."""

    code = "unverified"


class BrokenSyntax(NoEdit):
    """The edited file would have more syntax errors than before.

    `problem` is the first one in the edited text; a retry can show it to the model.
    """

    code = "broken_syntax"

    def __init__(self, message: str, remedy: str = "", reply: str = "", problem: Problem | None = None) -> None:
        super().__init__(message, remedy, reply)
        self.problem = problem
