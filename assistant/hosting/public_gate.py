"""Who may enter at a door: programs that know a token, and no web page that runs in somebody's browser."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from assistant.hosting.doors import Door
from assistant.hosting.gate import answer

OWNER = "starchat.owner"
"""The key in an ASGI scope under which a door's requests carry whose they are."""


class PublicGate:
    """Turns requests away before any handler sees them: 401 without a token, 403 for a wrong Host or any Origin, 415.

    The Host header must name this machine, so that a name in the hands of somebody else which was bound to its address (DNS
    rebinding) is of no use.  A browser sends an Origin across sites, and cannot send JSON without asking first.
    """

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its owner, or answer 401, 403 or 415."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        owner = self._owner(headers)
        refused = self._refused(scope["method"], headers, owner)
        if refused is not None:
            await refused(scope, receive, send)
            return
        await self._app({**scope, OWNER: owner}, receive, send)

    def _owner(self, headers: Headers) -> str | None:
        """Who holds the token, as a part of its digest; None without a right one.  Every token is compared to its end."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = hashlib.sha256(token.strip().encode()).hexdigest()
        right = [hmac.compare_digest(given, digest) for digest in sorted(self._door.digests)]
        return given[:16] if any(right) and scheme.lower() == "bearer" else None

    def _refused(self, method: str, headers: Headers, owner: str | None) -> JSONResponse | None:
        if owner is None:
            return answer(401, "unauthorized", "The token is missing or wrong.")
        if headers.getlist("origin") or not _names_us(headers.getlist("host"), self._door):
            return answer(403, "forbidden", "Web pages may not ask, and the Host header must name this machine.")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method == "POST" and kind != "application/json":
            return answer(415, "unsupported_media_type", "Send JSON, with content-type application/json.")
        return None


def _names_us(given: list[str], door: Door) -> bool:
    if len(given) != 1:
        return False
    name, port = _parts(given[0].lower())
    if port != door.port:
        return False
    if _is_loopback(door.host):
        return name == "localhost" or _is_loopback(name)
    return name in ("localhost", door.host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()) or _is_address(name)


def _parts(given: str) -> tuple[str, int | None]:
    name, colon, port = given.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        return given, 80
    return name.removeprefix("[").removesuffix("]"), int(port)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return name == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback)
