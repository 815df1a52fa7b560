"""What a command is to be done about: the argument that travels in a code action, and the turn that it becomes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lsprotocol import types

from assistant.commands import Command
from assistant.errors import UsageError
from assistant.languages import LANGUAGES, language_named
from server import failures
from server.failures import Refused


@dataclass(frozen=True, slots=True)
class Argument:
    """The one argument of a command.

    uri, range: what it is about; without a range the whole document, without a URI nothing but the question.
    question: the user's own words.  problems: one sentence for each diagnostic that it is to cure.
    language: what a translation is to be written in.
    """

    uri: str = ""
    range: types.Range | None = None
    question: str = ""
    problems: tuple[str, ...] = ()
    language: str = ""

    def as_json(self) -> dict[str, Any]:
        """The argument as it travels; empty parts are left out."""
        where = {"start": _position(self.range.start), "end": _position(self.range.end)} if self.range else None
        parts = {"uri": self.uri, "range": where, "question": self.question, "problems": list(self.problems)}
        parts |= {"language": self.language}
        return {name: value for name, value in parts.items() if value}


@dataclass(frozen=True, slots=True)
class Errand:
    """A command and what it is to be done about."""

    command: Command
    argument: Argument


def argument_of(arguments: Sequence[Any] | None) -> Argument:
    """The argument that a client sent.

    Raises:
        Refused: it is not of the form that `Argument` has.
    """
    raw = arguments[0] if arguments else {}
    try:
        return Argument(
            uri=_text(raw.get("uri", "")),
            range=_range(raw["range"]) if raw.get("range") else None,
            question=_text(raw.get("question", "")),
            problems=tuple(_text(each) for each in raw.get("problems") or ()),
            language=_text(raw.get("language", "")),
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        form = "{uri, range?, question?, problems?, language?}"
        raise Refused(failures.INVALID_PARAMS, f"The argument of a command must be {form}.") from error


def check(errand: Errand) -> Errand:
    """The errand itself, where everything that its command needs is there.

    Raises:
        UsageError: it is not.
    """
    if errand.command.takes("region") and not errand.argument.uri:
        raise UsageError(f"`{errand.command.name}` needs a document.", "Give its URI.")
    if errand.command.takes("question") and not errand.argument.question.strip():
        raise UsageError(f"`{errand.command.name}` needs a question.", "Write it in a comment such as `# ai: how so?`.")
    if errand.command.makes == "translation" and language_named(errand.argument.language) is None:
        raise UsageError(f"`{errand.command.name}` needs a `language` that is known.", f"One of {', '.join(_names())}.")
    return errand


def instruction(lines: Sequence[str], selection: types.Range) -> str:
    """What a comment `ai: …` in the selection, or in the line above it, asks for; empty where there is none."""
    for line in lines[max(0, selection.start.line - 1) : selection.end.line + 1]:
        if found := _COMMENT.match(line):
            return _without_end(found[1].strip())
    return ""


def problem_text(diagnostic: types.Diagnostic) -> str:
    """A diagnostic as one line for the model."""
    source = f" ({diagnostic.source})" if diagnostic.source else ""
    message = " ".join(diagnostic.message.split())
    return f"line {diagnostic.range.start.line + 1}: {message}{source}"


_COMMENT = re.compile(r"\s*(?:#|//|--|;|%|/\*|<!--|\"\"\"|\*)+\s*ai:(?=\s*\S)(.*)", re.IGNORECASE | re.DOTALL)
_ENDS = ("*/", "-->", '"""')


def _without_end(words: str) -> str:
    end = next((end for end in _ENDS if words.endswith(end)), "")
    return words.removesuffix(end).strip()


def _names() -> list[str]:
    return [language.name for language in LANGUAGES]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _position(position: types.Position) -> dict[str, int]:
    return {"line": position.line, "character": position.character}


def _range(raw: Mapping[str, Any]) -> types.Range:
    edges = ((int(raw[edge]["line"]), int(raw[edge]["character"])) for edge in ("start", "end"))
    return types.Range(*(types.Position(*edge) for edge in sorted(edges)))
