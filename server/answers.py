"""Answers that are read rather than applied: in a virtual document where the client has them, else in a file of ours."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from lsprotocol import types

from assistant.errors import StorageError
from assistant.settings import home, private_folder
from server.capabilities import SCHEME
from server.files import path_of
from server.session import Session

log = logging.getLogger(__name__)

KEPT = 50
"""Answers that are kept, the latest ones."""


def keep(session: Session, job: str, text: str) -> str:
    """Keep an answer, or more of one; returns the URI where it can be read, empty where there is no room for it."""
    session.answers[job] = text
    for old in list(session.answers)[:-KEPT]:
        del session.answers[old]
    if session.client.virtual_documents:
        uri = virtual_uri(job)
        session.editor.workspace_text_document_content_refresh(types.TextDocumentContentRefreshParams(uri))
        return uri
    try:
        return _written(job, text).as_uri()
    except (OSError, StorageError) as error:
        log.warning("An answer could not be written down: %s", type(error).__name__)
        return ""


async def show(session: Session, uri: str) -> None:
    """Have the client show it; one that cannot is told where it is.  Without a URI it could not be kept."""
    if not uri:
        session.tell(f"The answer cannot be written down in {home()}: make room on the disk, or set STARCHAT_HOME.")
    elif session.client.shows_documents:
        await session.editor.window_show_document_async(types.ShowDocumentParams(uri, external=False, take_focus=False))
    else:
        session.tell(f"The answer is in {path_of(uri) or uri}", types.MessageType.Info)


def content(session: Session, uri: str) -> str:
    """The text of a virtual document; empty where it is none of ours, or forgotten."""
    return next((text for job, text in session.answers.items() if virtual_uri(job) == uri), "")


def virtual_uri(job: str) -> str:
    """The URI of a job's answer."""
    return f"{SCHEME}:/answers/{job}.md"


def _written(job: str, text: str) -> Path:
    """A file that only the user can read; old ones go."""
    folder = private_folder(home() / "answers")
    path = folder / f"{os.getpid()}-{job}.md"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    files = sorted(folder.glob("*.md"), key=lambda each: each.stat().st_mtime)
    for old in files[:-KEPT]:
        old.unlink(missing_ok=True)
    return path
