"""Serving editors over WebSocket: each message is one JSON-RPC message, without headers; a session for each connection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Origin

from server.admission import MOST_BEFORE, SECONDS_BEFORE, admitted, knows
from server.framing import MAX_BODY, Broken
from server.transport import Items, converse

PING_SECONDS, PONG_SECONDS = 20.0, 60.0
"""How often a silent connection is tried, and after how long without an answer it is given up."""

_LAST_WORDS_SECONDS = 1.0


async def serve_websocket(host: str, port: int, token: str, origins: Sequence[str], ready: asyncio.Future[int]) -> None:
    """Serve until cancelled; `ready` gets the port.

    origins: web pages that may connect, such as `https://example.org`; programs that send no Origin always may.

    Raises:
        OSError: the address cannot be used.
    """

    def check(connection: ServerConnection, request: Request) -> Response | None:
        wrong = any(not knows(token, each) for each in _tokens(request))
        return connection.respond(HTTPStatus.UNAUTHORIZED, "The token is wrong.\n") if wrong else None

    async with serve(
        lambda connection: _connected(connection, token),
        host,
        port,
        origins=[None, *map(Origin, origins)],
        process_request=check,
        compression=None,
        max_size=MOST_BEFORE,
        open_timeout=SECONDS_BEFORE,
        ping_interval=PING_SECONDS,
        ping_timeout=PONG_SECONDS,
        close_timeout=_LAST_WORDS_SECONDS,
        server_header=None,
    ) as server:
        ready.set_result(next(iter(server.sockets)).getsockname()[1])
        await server.serve_forever()


async def _connected(connection: ServerConnection, token: str) -> None:
    outgoing = _Outgoing(connection)

    async def receive() -> Items:
        try:
            data = await connection.recv(decode=False)
        except ConnectionClosed:
            return []
        return [data or Broken("A message is empty.")]

    try:
        first: Items = []
        if not _tokens(cast(Request, connection.request)):  # a token in the request has been checked with it
            first = await admitted(receive, outgoing.put, token)
            if not first:
                return
        connection.protocol.max_message_size = MAX_BODY
        await converse(receive, outgoing.put, owned=False, first=first)
    finally:
        await outgoing.close()


def _tokens(request: Request) -> list[str]:
    """The tokens that a request shows: `Authorization: Bearer …`, or `?token=…` for pages, which cannot set headers."""
    bearers = [each.partition(" ")[2].strip() for each in request.headers.get_all("Authorization")]
    return [*bearers, *parse_qs(urlsplit(request.path).query, keep_blank_values=True).get("token", [])]


class _Outgoing:
    """Messages on their way to one client, sent in order by one task."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._waiting = 0
        self._bodies: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._task = asyncio.get_running_loop().create_task(self._send())

    def put(self, body: bytes) -> None:
        self._waiting += len(body)
        self._bodies.put_nowait(body)
        if self._waiting > 2 * MAX_BODY:
            self._connection.transport.abort()  # nobody reads there any more

    async def close(self) -> None:
        """Send what is left, for a second at most."""
        self._bodies.put_nowait(None)
        await asyncio.wait({self._task}, timeout=_LAST_WORDS_SECONDS)
        self._task.cancel()

    async def _send(self) -> None:
        while (body := await self._bodies.get()) is not None:
            try:
                await self._connection.send(body, text=True)
            except ConnectionClosed:
                return  # whoever reads learns it, too
            self._waiting -= len(body)
