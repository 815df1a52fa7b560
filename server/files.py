"""Documents as commands see them: open ones as the editor has them, closed ones from the disk, and only from the workspace."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lsprotocol import types

from assistant.document import MAX_BYTES, Document, load
from assistant.errors import InputError
from assistant.ignore import reason_to_leave_out
from assistant.languages import PLAIN, language_of, language_of_fence
from assistant.lines import split_lines
from server.documents import OpenDocument
from server.session import Session


@dataclass(frozen=True, slots=True)
class Source:
    """A text as it was at one moment; `version` is None for a file that is not open."""

    uri: str
    version: int | None
    document: Document


def source(session: Session, uri: str) -> Source:
    """The text of `uri` as it is now.

    Raises:
        InputError: it is out of step, empty, no valid text, or closed and outside the workspace.
    """
    path = path_of(uri)
    opened = session.documents.get(uri) or _opened_as(session, path)
    if opened is not None:
        return Source(opened.uri, opened.version, _document(opened, path_of(opened.uri)))
    if path is None or not inside(path, session.folders):
        raise InputError("The file is neither open nor inside the workspace.", "Open it first.")
    return Source(uri, None, load(path))


def shown(session: Session, uri: str) -> Source:
    """The text of `uri` for a prompt: a closed file that looks like a secret, or is ignored, is not read for one.

    Raises:
        InputError: it is such a file, or as `source`.
    """
    found = source(session, uri)
    path = found.document.path
    why = reason_to_leave_out(path) if found.version is None and path is not None else ""
    if why and path is not None:
        what = "looks like a secret" if why == "secret" else "is ignored"
        raise InputError(f"{path.name} {what}.", "Open it, if it is to be shown.")
    return found


def excerpt(session: Session, uri: str, selection: types.Range | None) -> Document:
    """The selected lines of a document, as a document of their own; without a selection all of it.

    Raises:
        InputError: the document cannot be used.
    """
    document = shown(session, uri).document
    first, last = lines_of(document.text, selection) or (1, None)
    text = "".join(split_lines(document.text)[first - 1 : last])
    return Document(document.path, text, language=document.language)


def lines_of(text: str, selection: types.Range | None) -> tuple[int, int] | None:
    """The selection as whole lines, counted from 1, both included; None means all of them."""
    if selection is None:
        return None
    count = max(1, len(split_lines(text)))
    last = selection.end.line - (selection.end.character == 0 and selection.end.line > selection.start.line)
    return min(selection.start.line + 1, count), min(last + 1, count)


def path_of(uri: str) -> Path | None:
    """The file that a `file:` URI names; None for other schemes, other machines, and names that are not in plain form."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    name = unquote(parts.path)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or "\0" in name or not name.startswith("/"):
        return None
    if name.startswith("//") or "\\" in name or any(part in ("..", ".") for part in name.split("/")):
        return None
    return Path(name[1:] if os.name == "nt" else name)


def inside(path: Path, folders: Iterable[str]) -> bool:
    """Whether the file that `path` leads to, links followed, lies in one of the workspace's folders."""
    try:
        real = path.resolve()
        roots = [root.resolve() for folder in folders if (root := path_of(folder)) is not None]
    except (OSError, RuntimeError):
        return False
    return any(real.is_relative_to(root) for root in roots)


def _opened_as(session: Session, path: Path | None) -> OpenDocument | None:
    """The open document that is this file under another name, such as a URI with other escapes, or through a link."""
    if path is None:
        return None
    real = os.path.realpath(path)
    others = ((each, path_of(each.uri)) for each in session.documents)
    return next((each for each, its in others if its is not None and os.path.realpath(its) == real), None)


def _document(opened: OpenDocument, path: Path | None) -> Document:
    if not opened.in_step:
        raise InputError("The editor's changes came out of order, so the text is not known.", "Close and open the file.")
    if urlsplit(opened.uri).scheme == "file" and path is None:
        raise InputError("The document's name is not in plain form.", "Open the file by its full path.")
    if opened.size > MAX_BYTES:
        raise InputError(f"The document has more than {MAX_BYTES:,} characters.", "Split it, or open a part of it.")
    text = opened.text
    if not text.strip():
        raise InputError("The document is empty.", "Write something first.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError("The document holds half of a surrogate pair.", "Remove the broken character.") from error
    language = language_of(path)
    return Document(path, text, language=language if language is not PLAIN else language_of_fence(opened.language_id) or PLAIN)
