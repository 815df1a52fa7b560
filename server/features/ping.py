"""`starchat/ping`: whether the server hears."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.session import Session


def ping(session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer at once."""
    return {"ok": True}
