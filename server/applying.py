"""Making an edit in the editor: carried over what was typed meanwhile, versioned, one undo step, and looked at afterwards."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from assistant.edits import EditPlan
from assistant.errors import Cancelled, EditConflict, NoEdit
from assistant.lines import line_starts, split_lines
from assistant.rebase import rebase
from assistant.region import Region
from server.files import Source, source
from server.jobs import Job
from server.positions import Encoding, position_of
from server.session import Session
from server.verifying import shows, taken

TRIES = 4
"""How often an edit is carried over once more because the user typed while it travelled."""

_ECHO_SECONDS = 2.0
_ANNOTATION = "starchat"


@dataclass(frozen=True, slots=True)
class Proposal:
    """An edit that the user asked for: `plan`, made for `region` of the text `before`; `confirm`: asked for in any case."""

    title: str
    uri: str
    plan: EditPlan
    region: Region
    before: str
    confirm: bool = False


async def apply(session: Session, proposal: Proposal, job: Job | None = None, *, undoing: bool = False) -> str:
    """Make the edit; returns a sentence that says so, and whether the editor's text shows it.

    job: once it has been stopped, the editor is not asked again.  undoing: this is not to be taken back in its turn.

    Raises:
        Cancelled: the job was stopped, and the editor made no edit.
        EditConflict: the region was changed meanwhile.
        NoEdit: the editor would not make it.
    """
    for _ in range(TRIES):
        now = source(session, proposal.uri)
        plan = rebase(proposal.plan, proposal.region, proposal.before, now.document.text)
        edit, what = workspace_edit(session, proposal, plan, now), f"undo {proposal.title}" if undoing else proposal.title
        result = await asked(session, types.ApplyWorkspaceEditParams(edit, label=f"StarChat: {what}"))
        if result.applied:
            if not undoing:
                _remember(session, proposal, plan, now.document.text)
            return await _looked_at(session, proposal, plan, now)
        if job is not None and job.stopped:
            raise Cancelled("Stopped.")
        if not _moved_on(session, now):
            why = f": {result.failure_reason}" if result.failure_reason else "."
            raise NoEdit(f"The editor did not make the change{why}", "The answer is kept.")
    raise EditConflict("The text kept changing while the answer was to be applied.", "Ask again.")


def workspace_edit(session: Session, proposal: Proposal, plan: EditPlan, now: Source) -> types.WorkspaceEdit:
    """The plan in the form that this client takes."""
    client = session.client
    ranges = list(_ranges(plan, now.document.text, client.encoding))
    if not client.versions:
        return types.WorkspaceEdit(changes={now.uri: [types.TextEdit(*each) for each in ranges]})
    identifier = types.OptionalVersionedTextDocumentIdentifier(uri=now.uri, version=now.version)
    if not client.annotations:
        edits = types.TextDocumentEdit(identifier, [types.TextEdit(*each) for each in ranges])
        return types.WorkspaceEdit(document_changes=[edits])
    annotated = [types.AnnotatedTextEdit(_ANNOTATION, *each) for each in ranges]
    note = types.ChangeAnnotation(
        f"StarChat: {proposal.title}", _is_confirmed(session, proposal), "Written by a language model."
    )
    return types.WorkspaceEdit(
        document_changes=[types.TextDocumentEdit(identifier, annotated)], change_annotations={_ANNOTATION: note}
    )


def _is_confirmed(session: Session, proposal: Proposal) -> bool:
    return session.client.annotations and (proposal.confirm or session.options.confirm_edits)


async def asked(session: Session, request: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
    """What the client makes of the edit; an error of its own is a refusal, too."""
    try:
        return await session.editor.workspace_apply_edit_async(request)
    except JsonRpcException as error:
        return types.ApplyWorkspaceEditResult(applied=False, failure_reason=str(error.message))


def _moved_on(session: Session, then: Source) -> bool:
    opened = session.documents.get(then.uri)
    return opened is not None and opened.version != then.version


async def _looked_at(session: Session, proposal: Proposal, plan: EditPlan, then: Source) -> str:
    """Whether the text that the editor sends next is the one that was to be expected; typing on in it is no harm."""
    if then.version is None:
        return "Applied."
    version, end, before = then.version, time.monotonic() + _ECHO_SECONDS, then.document.text
    text = None
    while after := await session.documents.next_change(then.uri, version, end - time.monotonic()):
        version, text = after.version, after.text
        if shows(text, plan, before):
            return "Applied."
        if _is_confirmed(session, proposal) and (some := taken(plan, before, text)) is not None:
            _amend(session, proposal, some, before)
            return "Applied as far as you took it."
    if text is None:
        return "Applied; the editor has not shown the new text yet."
    return "Applied, but the text is not what was expected: look at it, and undo if it is wrong."


def _amend(session: Session, proposal: Proposal, some: EditPlan, text: str) -> None:
    """Have undo take back the changes that the user took, rather than all."""
    if session.done and session.done[-1].uri == proposal.uri:
        session.done.pop()
        if some.changes:
            _remember(session, proposal, some, text)


def _remember(session: Session, proposal: Proposal, plan: EditPlan, text: str) -> None:
    after, back = plan.apply(text), plan.inverse(text)
    starts = line_starts(split_lines(after))
    first = min(bisect_right(starts, back.changes[0].start) - 1, max(0, len(starts) - 2))
    last = max(first + 1, bisect_right(starts, max(back.changes[-1].start, back.changes[-1].end - 1)))
    region = Region(first, min(last, len(starts) - 1))
    session.done.append(Proposal(proposal.title, proposal.uri, back, region, after))
    del session.done[:-20]


def _ranges(plan: EditPlan, text: str, encoding: Encoding) -> Iterator[tuple[types.Range, str]]:
    """Where each change is in the client's units, and its text."""
    lines = split_lines(text)
    starts = line_starts(lines)
    for each in plan.changes:
        edges = (types.Position(*position_of(lines, starts, offset, encoding)) for offset in (each.start, each.end))
        yield types.Range(*edges), each.text
