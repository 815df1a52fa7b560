"""The code actions for a selection.  Nothing here looks at a model or parses: editors ask at every move of the cursor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lsprotocol import types

from assistant.commands import Command
from assistant.document import MAX_BYTES
from assistant.languages import PLAIN, Language, language_named, language_of_fence
from assistant.own_commands import every_command
from server.capabilities import PREFIX, Client
from server.documents import OpenDocument
from server.errands import Argument, instruction, problem_text

Offered = types.CodeAction | types.Command

_KINDS = {"edit": "refactor.rewrite.starchat", "file": "refactor.rewrite.starchat", "answer": "source.starchat"}

TARGETS = ("Python", "JavaScript", "Go")
"""What translating offers where the settings say nothing; the document's own language is left out."""


def actions(
    document: OpenDocument, params: types.CodeActionParams, client: Client, targets: Sequence[str] = ()
) -> list[Offered]:
    """What can be done with the selection, as this client can take it.

    targets: the languages that translating offers.  An automatic request (the cursor moved) is offered quick fixes alone.
    """
    automatic = params.context.trigger_kind == types.CodeActionTriggerKind.Automatic
    refusal = _refusal(document)
    if refusal and not client.disabled:
        return []
    return [
        _as_action(choice, refusal, client)
        for row in every_command()
        for choice in _fitting(row, document, params, targets)
        if _wanted(choice.kind, params.context.only) and not (automatic and not choice.kind.startswith("quickfix"))
    ]


@dataclass(frozen=True, slots=True)
class _Choice:
    """One line of the menu: a command, the kind that it comes in, and the argument that it is to be run with."""

    command: Command
    kind: str
    title: str
    argument: Argument


def _fitting(row: Command, document: OpenDocument, params: types.CodeActionParams, targets: Sequence[str]) -> Iterator[_Choice]:
    """The lines of the menu that a command has here; none where it is not about code."""
    if row.makes == "message" or (row.languages and _language_name(document) not in row.languages):
        return
    selection, diagnostics = params.range, params.context.diagnostics
    if diagnostics and row.effect == "edit" and row.takes("problems") and not row.takes("question"):
        told = tuple(problem_text(each) for each in diagnostics)
        yield _Choice(row, "quickfix.starchat", row.title, Argument(document.uri, _over(selection, diagnostics), problems=told))
    words = instruction(document.lines, selection) if row.takes("question") else ""
    argument, kind = Argument(document.uri, selection, question=words), f"{_KINDS[row.effect]}.{row.name}"
    if row.makes == "translation":
        for language in _targets(document, targets):
            yield _Choice(row, kind, f"Translate to {language.name}", replace(argument, language=language.name))
    elif words or not row.takes("question"):
        yield _Choice(row, kind, row.title, argument)


def _targets(document: OpenDocument, targets: Sequence[str]) -> Iterator[Language]:
    own = language_of_fence(document.language_id)
    for name in targets or TARGETS:
        language = language_named(name)
        if language is not None and language != own:
            yield language


def _as_action(choice: _Choice, refusal: str, client: Client) -> Offered:
    command = types.Command(choice.title, PREFIX + choice.command.name, arguments=[choice.argument.as_json()])
    if not client.literals:
        return command
    return types.CodeAction(
        title=f"StarChat: {choice.title}",
        kind=choice.kind,
        command=None if refusal else command,
        disabled=types.CodeActionDisabled(refusal) if refusal else None,
        tags=[types.CodeActionTag.LlmGenerated] if client.tags else None,
    )


def _wanted(kind: str, only: Sequence[Any] | None) -> bool:
    if only is None:
        return True
    names = [str(getattr(each, "value", each)) for each in only]
    return any(not name or kind == name or kind.startswith(f"{name}.") for name in names)


def _refusal(document: OpenDocument) -> str:
    """Why nothing can be done with this document, for what waiting will not cure; empty where it can."""
    if not document.in_step:
        return "The editor's changes came out of order. Close and open the file."
    if document.size > MAX_BYTES:
        return f"The file has more than {MAX_BYTES:,} characters."
    return ""


def _over(selection: types.Range, diagnostics: Sequence[types.Diagnostic]) -> types.Range:
    """The selection, or where that is a cursor, the lines that the diagnostics are about."""
    if selection.start.line != selection.end.line:
        return selection
    ranges = [each.range for each in diagnostics]
    start = min(ranges, key=lambda each: each.start.line).start
    end = max(ranges, key=lambda each: each.end.line).end
    return types.Range(start, end)


def _language_name(document: OpenDocument) -> str:
    return (language_of_fence(document.language_id) or PLAIN).name
