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
    """The reply holds no code, or code for something else than the region.

    Why: The model explained, or refused, instead of writing code.
    What to do: Read the answer, which is shown; ask for less at once.
    """

    code = "no_code"


class Truncated(NoEdit):
    """The reply ended before the model was done.

    Why: The region is long for the tokens that were allowed.
    What to do: Choose fewer lines, or allow more with `--max-tokens`.
    """

    code = "truncated"


class NoChange(NoEdit):
    """The reply's code is what stands there already.

    Why: The model saw nothing to change; small models do so often.
    What to do: Say what is wrong, show it a failing test, or choose a stronger model.
    """

    code = "no_change"


class Elided(NoEdit):
    """The reply leaves code out ("... existing code ..."), so that applying it would delete it.

    Why: Models like to write “the rest as before”.
    What to do: Choose fewer lines.
    """

    code = "elided"


class Unclear(NoEdit):
    """It cannot be told for certain which part of the reply belongs into the region.

    Why: The reply repeats lines that stand in several places.
    What to do: Choose whole definitions.
    """

    code = "unclear"


class CodeChanged(NoEdit):
    """The reply changes code where only comments and documentation may change.

    Why: Models improve what they were only to describe.
    What to do: Run it again, or choose fewer lines.
    """

    code = "code_changed"


class NoMessage(NoEdit):
    """A commit message has not the form that it must have.

    Why: The model wrote something else than a message.
    What to do: Run it again, or write the message yourself.
    """

    code = "no_message"


class CopiedCode(NoEdit):
    """A new test file holds a copy of the code that it is to test.

    Why: The model pasted the code instead of importing it.
    What to do: Run it again, or choose a stronger model.
    """

    code = "copied_code"


class UnknownName(NoEdit):
    """The reply uses a name that is defined nowhere, and that the code did not use before.

    Why: The model invented a name, or forgot an import.
    What to do: Run it again, or add the definition first.
    """

    code = "unknown_name"


class HiddenCharacters(NoEdit):
    """The reply's code holds control characters, or such that reorder text, which the code before had not.

    Why: The model copied them from somewhere, or was talked into it: code with them is not what it looks like.
    What to do: Run it again, or write the character as an escape yourself.
    """

    code = "hidden_characters"


class Unverified(NoEdit):
    """The user's check failed before and passes with no candidate; the best one has been shown.

    Why: The bug is beyond the model, or the check tests something else.
    What to do: Allow more `--samples`, or mend it yourself with the candidate that is shown.
    """

    code = "unverified"


class BrokenSyntax(NoEdit):
    """The edited file would have more syntax errors than before.

    `problem` is the first one in the edited text; a retry can show it to the model.

    Why: The model lost its way in brackets or indentation.
    What to do: Run it again, choose fewer lines, or a stronger model.
    """

    code = "broken_syntax"

    def __init__(self, message: str, remedy: str = "", reply: str = "", problem: Problem | None = None) -> None:
        super().__init__(message, remedy, reply)
        self.problem = problem
