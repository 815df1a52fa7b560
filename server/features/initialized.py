"""`initialized`: from here on the server may ask the client for things."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from server import configuration
from server.session import Session


def initialized(session: Session, params: Mapping[str, Any]) -> None:
    """Ask for the settings where the client has them to give."""
    threading.Thread(target=_read_ahead, name="reading ahead", daemon=True).start()
    for sentence in session.complaints:
        session.tell(sentence)
    configuration.follow(session)


def _read_ahead() -> None:
    """Read the code of commands before the first one comes, so that its progress begins at once."""
    for name in ("running", "verbs", "chats", "completing"):
        import_module(f"server.{name}")
