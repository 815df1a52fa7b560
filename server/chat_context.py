"""What a client attaches to a message by reference: a selection, a file, diagnostics, a diff."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from assistant import attachments
from assistant.attachments import Attachment
from assistant.changes import diff
from assistant.edits import region_of
from assistant.errors import InputError, UsageError
from server.errands import problem_text
from server.features.chat import Reference
from server.files import inside, lines_of, path_of, shown
from server.model import in_thread
from server.session import Session


async def attached(session: Session, references: Sequence[Reference]) -> tuple[Attachment, ...]:
    """What the references lead to, as it is now.

    Raises:
        UsageError: a kind that is not known, or one that lacks what it needs.
        InputError: a document that cannot be used, no repository, or nothing that has changed.
    """
    return tuple([await _attached(session, each) for each in references])


async def _attached(session: Session, reference: Reference) -> Attachment:
    kind = reference.kind or ("selection" if reference.range else "file")
    if kind == "diff":
        folder = _folder(session, reference.uri)
        text, _ = await in_thread(lambda: diff(folder, staged=reference.staged))
        return attachments.of_diff(_diff_name(reference), text)
    if kind not in _KINDS:
        raise UsageError(f"There is no context of the kind {kind[:40]!r}.", f"Kinds: {', '.join((*_KINDS, 'diff'))}.")
    return _KINDS[kind](session, reference)


def _selection(session: Session, reference: Reference) -> Attachment:
    document = shown(session, reference.uri).document
    if reference.range is None:
        raise UsageError("A selection needs a range.", "Send one, or attach the file.")
    return attachments.of_lines(document, region_of(document, lines_of(document.text, reference.range)))


def _file(session: Session, reference: Reference) -> Attachment:
    return attachments.of_file(shown(session, reference.uri).document)


def _diagnostics(session: Session, reference: Reference) -> Attachment:
    if not reference.diagnostics:
        raise UsageError("There are no diagnostics to attach.", "Send at least one.")
    return attachments.of_problems(path_of(reference.uri), [problem_text(each) for each in reference.diagnostics])


_KINDS: dict[str, Callable[[Session, Reference], Attachment]] = {
    "selection": _selection,
    "file": _file,
    "diagnostics": _diagnostics,
}


def _folder(session: Session, uri: str) -> Path:
    """The folder in whose repository a diff is wanted; never one outside the workspace."""
    path = path_of(uri) if uri else next((folder for each in session.folders if (folder := path_of(each))), None)
    if path is None or not inside(path, session.folders):
        raise InputError("A diff is made of the workspace alone.", "Open its folder.")
    return path if path.is_dir() else path.parent


def _diff_name(reference: Reference) -> str:
    return "git diff --staged" if reference.staged else "git diff"
