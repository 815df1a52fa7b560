"""What the client can do, resolved once into plain answers, and what we tell it that we can do.

This is the one table by which we adapt; nothing else looks at capabilities, and nothing looks at the client's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.own_commands import every_command
from server.positions import Encoding, choose

PREFIX = "starchat."
SCHEME = "starchat"
OWN_COMMANDS = ("cancel", "undo", "retry")
"""Verbs that are about jobs rather than about code."""


@dataclass(frozen=True, slots=True)
class Client:
    """What this client can do.

    encoding: the units of positions.
    literals, tags, disabled, resolve: code actions as objects, their tags, disabled ones, filling them in later.
    versions, annotations, creates, deletes: edits with document versions, with annotations, that make files, that remove them.
    progress: progress that the server begins.  configuration, watches_configuration: settings can be asked for; and told.
    shows_documents, virtual_documents: `window/showDocument`, `workspace/textDocumentContent`.
    """

    encoding: Encoding = "utf-16"
    literals: bool = False
    tags: bool = False
    disabled: bool = False
    resolve: bool = False
    versions: bool = False
    annotations: bool = False
    creates: bool = False
    deletes: bool = False
    progress: bool = False
    configuration: bool = False
    watches_configuration: bool = False
    shows_documents: bool = False
    virtual_documents: bool = False


def client_of(capabilities: object) -> Client:
    """The client whose `initialize` said this; whatever is missing or malformed counts as not supported."""
    return Client(
        encoding=choose(_listed(capabilities, "general.positionEncodings")),
        literals=_at(capabilities, "textDocument.codeAction.codeActionLiteralSupport") is not None,
        tags=_at(capabilities, "textDocument.codeAction.tagSupport") is not None,
        disabled=_at(capabilities, "textDocument.codeAction.disabledSupport") is True,
        resolve=_at(capabilities, "textDocument.codeAction.resolveSupport") is not None,
        versions=_at(capabilities, "workspace.workspaceEdit.documentChanges") is True,
        annotations=_at(capabilities, "workspace.workspaceEdit.changeAnnotationSupport") is not None,
        creates="create" in _listed(capabilities, "workspace.workspaceEdit.resourceOperations"),
        deletes="delete" in _listed(capabilities, "workspace.workspaceEdit.resourceOperations"),
        progress=_at(capabilities, "window.workDoneProgress") is True,
        configuration=_at(capabilities, "workspace.configuration") is True,
        watches_configuration=_at(capabilities, "workspace.didChangeConfiguration.dynamicRegistration") is True,
        shows_documents=_at(capabilities, "window.showDocument.support") is True,
        virtual_documents=_at(capabilities, "workspace.textDocumentContent") is not None,
    )


def offered(client: Client) -> dict[str, Any]:
    """Our own capabilities, for this client."""
    kinds = ["quickfix.starchat", "refactor.rewrite.starchat", "source.starchat"]
    return {
        "positionEncoding": client.encoding,
        "textDocumentSync": {"openClose": True, "change": 2, "save": False},
        "notebookDocumentSync": {"notebookSelector": [{"notebook": "*"}], "save": False},
        "codeActionProvider": {"codeActionKinds": kinds, "resolveProvider": client.resolve, "workDoneProgress": False},
        "executeCommandProvider": {"commands": commands(), "workDoneProgress": True},
        "inlineCompletionProvider": True,
        "workspace": {
            "workspaceFolders": {"supported": True, "changeNotifications": True},
            **({"textDocumentContent": {"schemes": [SCHEME]}} if client.virtual_documents else {}),
        },
    }


def commands() -> list[str]:
    """Everything that `workspace/executeCommand` takes."""
    return [PREFIX + name for name in (*(row.name for row in every_command()), *OWN_COMMANDS)]


def _listed(value: object, path: str) -> Sequence[object]:
    found = _at(value, path)
    return found if isinstance(found, list) else ()


def _at(value: object, path: str) -> Any:  # noqa: ANN401 - whatever the client sent
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
