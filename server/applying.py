"""Making an edit in the editor: carried over what was typed meanwhile, versioned, one undo step, and looked at afterwards."""

from __future__ import annotations

from bisect import bisect_right
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
        result = await asked(session, _request(session, proposal, plan, now))
        if result.applied:
            if not undoing:
                _remember(session, proposal, plan, now.document.text)
            return await _looked_at(session, plan, now, _is_confirmed(session, proposal))
        if job is not None and job.stopped:
            raise Cancelled("Stopped.")
        if not _moved_on(session, now):
            why = f": {result.failure_reason}" if result.failure_reason else "."
            raise NoEdit(f"The editor did not make the change{why}", "The answer is kept.", _new_text(plan))
    raise EditConflict("The text kept changing while the answer was to be applied.", "Ask again.", _new_text(proposal.plan))


def workspace_edit(session: Session, proposal: Proposal, plan: EditPlan, now: Source) -> types.WorkspaceEdit:
    """The plan in the form that this client takes."""
    client = session.client
    ranges = [(_range(now.document.text, each.start, each.end, client.encoding), each.text) for each in plan.changes]
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


def _request(session: Session, proposal: Proposal, plan: EditPlan, now: Source) -> types.ApplyWorkspaceEditParams:
    edit = workspace_edit(session, proposal, plan, now)
    return types.ApplyWorkspaceEditParams(edit, label=f"StarChat: {proposal.title}")


def _moved_on(session: Session, then: Source) -> bool:
    opened = session.documents.get(then.uri)
    return opened is not None and opened.version != then.version


async def _looked_at(session: Session, plan: EditPlan, then: Source, confirmed: bool) -> str:
    """Whether the text that the editor sends next is the one that was to be expected; typing on in it is no harm.

    confirmed: whether the user was asked, and may have taken some of the changes alone.
    """
    if then.version is None:
        return "Applied."
    after = await session.documents.next_change(then.uri, then.version, _ECHO_SECONDS)
    if after is None:
        return "Applied; the editor has not shown the new text yet."
    text, wanted = after.text, plan.apply(then.document.text)
    if text == wanted or all(_squeezed(each.text) in _squeezed(text) for each in plan.changes):
        return "Applied."
    if confirmed and text != then.document.text:
        return "Applied as far as you took it."
    return "Applied, but the text is not what was expected: look at it, and undo if it is wrong."


def _remember(session: Session, proposal: Proposal, plan: EditPlan, text: str) -> None:
    after, back = plan.apply(text), plan.inverse(text)
    starts = line_starts(split_lines(after))
    first = min(bisect_right(starts, back.changes[0].start) - 1, max(0, len(starts) - 2))
    last = max(first + 1, bisect_right(starts, max(back.changes[-1].start, back.changes[-1].end - 1)))
    region = Region(first, min(last, len(starts) - 1))
    session.done.append(Proposal(proposal.title, proposal.uri, back, region, after))
    del session.done[:-20]


def _range(text: str, start: int, end: int, encoding: Encoding) -> types.Range:
    lines = split_lines(text)
    starts = line_starts(lines)
    edges = (types.Position(*position_of(lines, starts, offset, encoding)) for offset in (start, end))
    return types.Range(*edges)


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _new_text(plan: EditPlan) -> str:
    return "\n".join(each.text for each in plan.changes)
