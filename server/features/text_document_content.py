"""`workspace/textDocumentContent`: answers as documents without a file."""

from __future__ import annotations

from lsprotocol import types

from server import answers
from server.session import Session


def text_document_content(session: Session, params: types.TextDocumentContentParams) -> types.TextDocumentContentResult:
    """The text of an answer, as far as it has come."""
    return types.TextDocumentContentResult(answers.content(session, params.uri))
