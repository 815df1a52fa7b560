"""`workspace/didChangeConfiguration`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server import configuration
from server.session import Session


def did_change_configuration(session: Session, params: Mapping[str, Any]) -> None:
    """Take the settings that were sent, or ask for them where the client only says that they changed."""
    if params.get("settings"):
        configuration.take(session, params["settings"])
    elif session.client.configuration:
        configuration.pull(session)
