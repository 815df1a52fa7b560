"""Answers that are read rather than applied: in a virtual document where the client has them, else in a file of ours."""

from __future__ import annotations

import os
from pathlib import Path

from lsprotocol import types

from assistant.settings import home, private_folder
from server.capabilities import SCHEME
from server.files import path_of
from server.session import Session

KEPT = 50
"""Answers that are kept, the latest ones."""


def keep(session: Session, job: str, text: str) -> str:
    """Keep an answer, or more of one; returns the URI where it can be read."""
    session.answers[job] = text
    for old in list(session.answers)[:-KEPT]:
        del session.answers[old]
    if session.client.virtual_documents:
        uri = virtual_uri(job)
        session.editor.workspace_text_document_content_refresh(types.TextDocumentContentRefreshParams(uri))
        return uri
    return _written(job, text).as_uri()


async def show(session: Session, uri: str) -> None:
    """Have the client show it; one that cannot is told where it is."""
    if session.client.shows_documents:
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
