"""`textDocument/codeAction` and `codeAction/resolve`."""

from __future__ import annotations

from lsprotocol import types

from server.actions import Offered, actions
from server.session import Session


def code_action(session: Session, params: types.CodeActionParams) -> list[Offered]:
    """The commands that fit the selection, as this client can take them."""
    document = session.documents.get(params.text_document.uri)
    session.warm_up()
    return [] if document is None else actions(document, params, session.client, session.options.targets)


def resolve(session: Session, action: types.CodeAction) -> types.CodeAction:
    """The action itself: it carries a command from the start, so that nothing is generated here."""
    return action
