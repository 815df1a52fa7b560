"""The routing table: every method that the server answers, and the function that does it.  The file to read first.

transport (bytes) -> framing -> protocol (checked messages) -> ROUTES -> features/* -> session, jobs, documents
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.protocol import default_converter

from assistant import __version__
from server.features import (
    apply_code,
    chat,
    code_action,
    did_change,
    did_change_configuration,
    did_change_workspace_folders,
    did_close,
    did_open,
    execute_command,
    initialize,
    initialized,
    inline_completion,
    notebook,
    ping,
    shutdown,
    status,
    text_document_content,
    work_done_progress_cancel,
)
from server.greeting import NAME
from server.protocol import Protocol
from server.session import Session
from server.slimming import slim

slim(types)

Route = tuple[str, Callable[..., Any], Any]

ROUTES: tuple[Route, ...] = (
    (types.INITIALIZE, initialize.initialize, dict),
    (types.INITIALIZED, initialized.initialized, dict),
    (types.SHUTDOWN, shutdown.shutdown, dict),
    (types.TEXT_DOCUMENT_DID_OPEN, did_open.did_open, None),
    (types.TEXT_DOCUMENT_DID_CHANGE, did_change.did_change, None),
    (types.TEXT_DOCUMENT_DID_CLOSE, did_close.did_close, None),
    (types.NOTEBOOK_DOCUMENT_DID_OPEN, notebook.did_open, None),
    (types.NOTEBOOK_DOCUMENT_DID_CHANGE, notebook.did_change, None),
    (types.NOTEBOOK_DOCUMENT_DID_CLOSE, notebook.did_close, None),
    (types.TEXT_DOCUMENT_CODE_ACTION, code_action.code_action, None),
    (types.CODE_ACTION_RESOLVE, code_action.resolve, None),
    (types.TEXT_DOCUMENT_INLINE_COMPLETION, inline_completion.inline_completion, None),
    (types.WORKSPACE_EXECUTE_COMMAND, execute_command.execute_command, None),
    (types.WINDOW_WORK_DONE_PROGRESS_CANCEL, work_done_progress_cancel.cancel, None),
    (types.WORKSPACE_DID_CHANGE_CONFIGURATION, did_change_configuration.did_change_configuration, dict),
    (types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS, did_change_workspace_folders.did_change_workspace_folders, None),
    (types.WORKSPACE_TEXT_DOCUMENT_CONTENT, text_document_content.text_document_content, None),
    ("starchat/chat/create", chat.create, dict),
    ("starchat/chat/turn", chat.turn, chat.Message),
    ("starchat/chat/list", chat.listed, chat.Listing),
    ("starchat/chat/show", chat.show, chat.ChatId),
    ("starchat/chat/delete", chat.delete, chat.ChatId),
    ("starchat/edit/apply", apply_code.apply_code, apply_code.Picked),
    ("starchat/status", status.status, dict),
    ("starchat/ping", ping.ping, dict),
)
"""Method, handler, and the type of its parameters where lsprotocol does not know the method or need not look inside."""


class Server(LanguageServer):
    """One connection to one editor.  Errors are logged by their type; nobody gets a popup for them."""

    protocol: Protocol

    def report_server_error(self, error: Exception, source: Any) -> None:  # noqa: ANN401 - as pygls has it
        """Nothing: whatever can fail is answered where it fails."""


def connect(send: Callable[[bytes], None]) -> Session:
    """A server for one editor, which writes whole message bodies to `send`."""
    editor = Server(NAME, __version__, protocol_cls=Protocol, converter_factory=default_converter)
    session = Session(editor)
    editor.protocol.send, editor.protocol.lost = send, session.documents.lose
    editor.protocol.params_types = {method: kind for method, _, kind in ROUTES if kind is not None}
    for method, handler, _ in ROUTES:
        editor.feature(method)(partial(handler, session))
    return session
