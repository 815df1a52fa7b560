"""`textDocument/didChange`."""

from __future__ import annotations

from lsprotocol import types

from server.session import Session


def did_change(session: Session, params: types.DidChangeTextDocumentParams) -> None:
    """Follow what was typed."""
    session.documents.change(params.text_document.uri, params.text_document.version, params.content_changes)
