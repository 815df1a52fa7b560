"""`initialized`: from here on the server may ask the client for things."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server import configuration
from server.session import Session


def initialized(session: Session, params: Mapping[str, Any]) -> None:
    """Ask for the settings where the client has them to give."""
    for sentence in session.complaints:
        session.tell(sentence)
    configuration.follow(session)
