"""`starchat/status`: what the model is doing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.session import Session


def status(session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
    """The state, told from what this editor has seen of it."""
    return session.status()
