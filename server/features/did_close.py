"""`textDocument/didClose`."""

from __future__ import annotations

from lsprotocol import types

from server.session import Session


def did_close(session: Session, params: types.DidCloseTextDocumentParams) -> None:
    """Forget the text."""
    session.documents.close(params.text_document.uri)
