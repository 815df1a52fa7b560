"""`initialize`: who is there, and what can each do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from assistant.errors import SettingsError
from server import parent
from server.capabilities import client_of
from server.greeting import result
from server.options import received
from server.session import Session


def initialize(session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answered before any model is looked at; read leniently, since every client says something of its own here."""
    session.client = client_of(params.get("capabilities"))
    session.documents.encoding = session.client.encoding
    session.folders = _folders(params)
    try:
        session.options = received(params.get("initializationOptions"))
    except SettingsError as error:
        session.complaints.append(str(error))
    process_id = params.get("processId")
    if session.owned and isinstance(process_id, int) and process_id > 0 and process_id != os.getpid():
        parent.watch(process_id)
    return result(session.client)


def _folders(params: Mapping[str, Any]) -> tuple[str, ...]:
    folders = params.get("workspaceFolders")
    found = [folder.get("uri") for folder in folders if isinstance(folder, Mapping)] if isinstance(folders, list) else []
    return tuple(uri for uri in found or [params.get("rootUri")] if isinstance(uri, str))
