"""The code actions for a selection.  Nothing here looks at a model or parses: editors ask at every move of the cursor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lsprotocol import types

from assistant.commands import Command
from assistant.document import MAX_BYTES
from server.capabilities import PREFIX, Client, carried_out
from server.documents import OpenDocument
from server.errands import Argument, instruction, problem_text

Offered = types.CodeAction | types.Command

_KINDS = {"edit": "refactor.rewrite.starchat", "answer": "source.starchat"}


def actions(document: OpenDocument, params: types.CodeActionParams, client: Client) -> list[Offered]:
    """What can be done with the selection, as this client can take it.

    An automatic request (the cursor moved) is offered quick fixes alone.
    """
    automatic = params.context.trigger_kind == types.CodeActionTriggerKind.Automatic
    refusal = _refusal(document)
    found = [
        _as_action(row, kind, argument, refusal, client)
        for row in carried_out()
        for kind, argument in _fitting(row, document, params)
        if _wanted(kind, params.context.only) and not (automatic and not kind.startswith("quickfix"))
    ]
    return [] if refusal and not client.disabled else found


def _fitting(row: Command, document: OpenDocument, params: types.CodeActionParams) -> Iterator[tuple[str, Argument]]:
    """The kinds that a command comes in here, with the argument that it is to be run with."""
    selection, diagnostics = params.range, params.context.diagnostics
    if diagnostics and row.effect == "edit" and row.takes("problems"):
        told = tuple(problem_text(each) for each in diagnostics)
        yield "quickfix.starchat", Argument(document.uri, _over(selection, diagnostics), problems=told)
    words = instruction(document.lines, selection) if row.takes("question") else ""
    if words or not row.takes("question"):
        yield f"{_KINDS[row.effect]}.{row.name}", Argument(document.uri, selection, question=words)


def _as_action(row: Command, kind: str, argument: Argument, refusal: str, client: Client) -> Offered:
    command = types.Command(row.title, PREFIX + row.name, arguments=[argument.as_json()])
    if not client.literals:
        return command
    return types.CodeAction(
        title=f"StarChat: {row.title}",
        kind=kind,
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
    if sum(map(len, document.lines)) > MAX_BYTES:
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
