"""New files: made by the editor where it can, else by us; never over a file, never outside the workspace."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from lsprotocol import types

from assistant.document import create as write_new
from assistant.errors import EditConflict, InputError, NoEdit, StorageError
from server.applying import asked
from server.files import inside, path_of
from server.session import Session

_ANNOTATION = "starchat"


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that the user asked for: `text`, to lie at `uri`."""

    title: str
    uri: str
    path: Path
    text: str


def place_for(session: Session, title: str, beside: str, name: str, text: str) -> NewFile:
    """A new file in the folder of the document `beside`, else in the workspace's first folder; under `name`, or one like it.

    Raises:
        InputError: there is no folder of the workspace for it.
    """
    folder = _folder(session, beside)
    path = path_of(f"{folder}/")
    if path is None or not path.is_dir():
        raise InputError("There is no folder where a new file could lie.", "Save the document in a folder of the workspace.")
    if not inside(path, session.folders or (folder,)):
        raise InputError("The new file would lie outside the workspace.", "Open its folder in the editor first.")
    stem, dot, rest = name.partition(".")
    for free in (name, *(f"{stem}_{number}{dot}{rest}" for number in range(2, 1000))):
        uri, taken = f"{folder}/{quote(free)}", path / free
        if not os.path.lexists(taken) and session.documents.get(uri) is None:
            return NewFile(title, uri, taken, text)
    raise InputError(f"Every name like {name} is taken.", "Remove some of them.")


async def create(session: Session, file: NewFile) -> str:
    """Make the file and show it; returns a sentence that says so.

    Raises:
        NoEdit: the editor would not make it, or something lies there by now.
        StorageError: it cannot be written.
    """
    if session.client.creates:
        result = await asked(session, _request(session, file))
        if not result.applied:
            why = f": {result.failure_reason}" if result.failure_reason else "."
            raise NoEdit(f"The editor did not make the file{why}", "The answer is kept.", file.text)
    else:
        write_new(file.path, file.text)
    session.done.append(file)
    if session.client.shows_documents:
        shown = types.ShowDocumentParams(file.uri, external=False, take_focus=True)
        session.in_background(_show(session, shown))
    return f"Made {file.path}."


async def remove(session: Session, file: NewFile) -> str:
    """Take a new file away again, if it holds what was written.

    Raises:
        EditConflict: it has been changed since.
        NoEdit: the editor would not remove it.
        StorageError: it cannot be removed.
    """
    opened = session.documents.get(file.uri)
    if (opened is not None and opened.text != file.text) or not _holds(file, allow_empty=opened is not None):
        raise EditConflict(f"{file.path} has been changed since it was made.", "Remove it yourself if you want.", file.text)
    if session.client.deletes:
        edit = types.WorkspaceEdit(document_changes=[types.DeleteFile(file.uri)])
        result = await asked(session, types.ApplyWorkspaceEditParams(edit, label=f"StarChat: undo {file.title}"))
        if not result.applied:
            raise NoEdit("The editor did not remove the file.", "Remove it yourself.", file.text)
    else:
        try:
            file.path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{file.path} cannot be removed: {error.strerror}.", "Remove it yourself.") from error
    return f"Removed {file.path}."


async def _show(session: Session, what: types.ShowDocumentParams) -> None:
    await session.editor.window_show_document_async(what)


def _folder(session: Session, beside: str) -> str:
    """The URI of a folder, spelled as the client spells it and without a slash at its end."""
    if path_of(beside) is not None:
        return beside.rpartition("/")[0]
    return next((uri.rstrip("/") for uri in session.folders if path_of(uri) is not None), "")


def _request(session: Session, file: NewFile) -> types.ApplyWorkspaceEditParams:
    annotated = _ANNOTATION if session.client.annotations else None
    made = types.CreateFile(file.uri, options=types.CreateFileOptions(overwrite=False, ignore_if_exists=False))
    made.annotation_id = annotated
    start = types.Range(types.Position(0, 0), types.Position(0, 0))
    text = types.AnnotatedTextEdit(annotated, start, file.text) if annotated else types.TextEdit(start, file.text)
    filled = types.TextDocumentEdit(types.OptionalVersionedTextDocumentIdentifier(file.uri, None), [text])
    edit = types.WorkspaceEdit(document_changes=[made, filled])
    if annotated:
        label, confirm = f"StarChat: {file.title}", session.options.confirm_edits
        note = types.ChangeAnnotation(label, confirm, "Written by a language model.")
        edit.change_annotations = {annotated: note}
    return types.ApplyWorkspaceEditParams(edit, label=f"StarChat: {file.title}")


def _holds(file: NewFile, *, allow_empty: bool) -> bool:
    """Whether the disk has what was written, or nothing yet because the editor has not saved it."""
    try:
        raw = file.path.read_bytes()
    except FileNotFoundError:
        return allow_empty
    except OSError:
        return False
    return raw == file.text.encode() or (allow_empty and not raw)
