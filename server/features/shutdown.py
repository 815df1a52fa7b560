"""`shutdown`: stop all work; the process ends with `exit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.session import Session


def shutdown(session: Session, params: Mapping[str, Any]) -> None:
    """Stop every job, and with it what the model is doing for it."""
    session.stop_all()
