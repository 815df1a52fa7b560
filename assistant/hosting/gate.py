"""Who may speak to the host: the user's own programs, and no web page that runs in the user's browser."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from assistant.address import HostRecord


class Gate:
    """Turns requests away before any handler sees them.

    A Unix socket is guarded by its folder's mode; over TCP the token is needed and the Host header must be the address
    itself, which no rebound name can forge.  A browser always sends an Origin across sites and cannot send JSON without
    asking first, so an Origin, or a POST that is not JSON, is turned away in both cases.
    """

    def __init__(self, app: ASGIApp, record: HostRecord) -> None:
        self._app = app
        self._bearer = f"Bearer {record.token}" if record.token else None
        self._hosts = {f"{name}:{record.port}" for name in ("127.0.0.1", "localhost")} if record.port else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401, 403 or 415."""
        if scope["type"] == "http":
            refused = self._refused(scope["method"], Headers(scope=scope))
            if refused is not None:
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refused(self, method: str, headers: Headers) -> JSONResponse | None:
        if self._bearer and not hmac.compare_digest(headers.get("authorization", "").encode(), self._bearer.encode()):
            return answer(401, "unauthorized", "The token is missing or wrong.")
        if "origin" in headers or (self._hosts is not None and headers.get("host") not in self._hosts):
            return answer(403, "forbidden", "Only programs on this machine may ask.")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method == "POST" and kind != "application/json":
            return answer(415, "unsupported_media_type", "Send JSON, with content-type application/json.")
        return None


def answer(status: int, code: str, message: str) -> JSONResponse:
    """The answer to a request that is turned away."""
    return JSONResponse({"error": {"message": message, "remedy": "", "type": "Refused", "code": code}}, status)
