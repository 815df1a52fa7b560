"""`textDocument/didOpen`."""

from __future__ import annotations

from lsprotocol import types

from server.session import Session


def did_open(session: Session, params: types.DidOpenTextDocumentParams) -> None:
    """Keep the text, and start the model's host: whoever opens a file may soon ask."""
    item = params.text_document
    session.documents.open(item.uri, item.language_id, item.version, item.text)
    session.warm_up()
