"""Who may connect over the network: whoever knows the token, which lies in a file that only the user can read."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from assistant.errors import SettingsError, StorageError
from assistant.settings import home, private_folder
from server.failures import INVALID_REQUEST, REQUEST_FAILED
from server.framing import Broken
from server.transport import Items

MOST_BEFORE = 1 << 20
"""Bytes of a message of somebody who has not shown the token yet, at most."""

SECONDS_BEFORE = 10.0
"""For showing it."""

_SHORTEST = 16


def secret() -> tuple[str, Path]:
    """The token of this user's servers, and its file; it is made once.

    Raises:
        SettingsError: the file holds no token.
        StorageError: it can be neither read nor made.
    """
    path = private_folder(home()) / "server-token"
    try:
        if not path.exists():
            _make(path)
        path.chmod(0o600)
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"The token in {path} cannot be used: {error}.", "Remove the file, and start again.") from error
    if len(token) < _SHORTEST:
        raise SettingsError(f"The token in {path} is shorter than {_SHORTEST} characters.", "Remove the file, and start again.")
    return token, path


def knows(token: str, offered: object) -> bool:
    """Whether `offered` is the token; takes equally long however much of it is right."""
    return isinstance(offered, str) and secrets.compare_digest(token.encode(), offered.encode(errors="replace"))


async def admitted(receive: Callable[[], Awaitable[Items]], send: Callable[[bytes], None], token: str) -> Items:
    """The first messages of somebody whose `initialize` holds the token; nothing where it does not, which is answered."""
    try:
        async with asyncio.timeout(SECONDS_BEFORE):
            items = await receive()
    except TimeoutError:
        return []
    request = _request(items[0]) if items else {}
    if any(knows(token, each) for each in _offered(request)):
        return items
    if items:
        send(_refusal(request))
    return []


def _request(item: bytes | Broken) -> Mapping[str, Any]:
    try:
        message = json.loads(item) if isinstance(item, bytes) else None
    except (ValueError, RecursionError):
        message = None
    return message if isinstance(message, dict) else {}


def _offered(request: Mapping[str, Any]) -> list[object]:
    """Every token that an `initialize` shows: `initializationOptions.token`, and the same under `starchat`."""
    params = request.get("params") if request.get("method") == "initialize" else None
    options = params.get("initializationOptions") if isinstance(params, dict) else None
    tables = [options, options.get("starchat")] if isinstance(options, dict) else []
    return [table[key] for table in tables if isinstance(table, dict) for key in ("token", "starchat.token") if key in table]


def _refusal(request: Mapping[str, Any]) -> bytes:
    number = request.get("id")
    if type(number) not in (int, str):
        number = None
    error = {
        "code": INVALID_REQUEST if number is None else REQUEST_FAILED,
        "message": "The first message must be `initialize` with the right `initializationOptions.token`.",
        "data": {"code": "not_allowed", "remedy": "The token lies in the file that the server named when it started."},
    }
    return json.dumps({"jsonrpc": "2.0", "id": number, "error": error}).encode()


def _make(path: Path) -> None:
    """Write a new token; where another server was quicker, its token stands."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    try:
        os.link(name, path)
    except FileExistsError:
        return
    finally:
        Path(name).unlink()
