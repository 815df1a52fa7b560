"""Doors: TCP addresses at which the running host serves other programs, each for as long as the one who opened it stays.

`POST /starchat/serve` opens one.  Its answer is an event stream whose first event says where the door is; when the stream ends,
for whatever reason, the door closes.  Behind a door is the OpenAI API and nothing else, and nobody enters without a token.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from assistant.errors import UsageError
from assistant.hosting.events import data
from assistant.hosting.listening import BACKLOG
from assistant.hosting.model_host import ModelHost
from assistant.hosting.web import Server, configuration

log = logging.getLogger("assistant.hosting")

CONNECTIONS = 256
"""Open connections at a door; beyond them a request is answered with 503, so that nobody can use up the host's descriptors."""

MOST_TOKENS = 100
_DIGEST = re.compile(r"[0-9a-f]{64}")
_WATCH = 0.2


@dataclass(frozen=True, slots=True)
class Door:
    """Where a door is, and the sha256 of every token that opens it."""

    host: str
    port: int
    digests: frozenset[str]

    @property
    def address(self) -> str:
        """`HOST:PORT`, as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_door(raw: Mapping[str, Any]) -> Door:
    """A door that is asked for; port 0 takes a free one.

    Raises:
        UsageError: naming the field.
    """
    host, port, digests = raw.get("host"), raw.get("port"), raw.get("tokens_sha256")
    if not isinstance(host, str) or not host:
        raise UsageError("`host` must be an address of this machine.", "Send 127.0.0.1.")
    if type(port) is not int or not 0 <= port <= 65535:
        raise UsageError("`port` must be a number from 0 to 65535.", "Send 0 for a free one.")
    if not isinstance(digests, list) or not 1 <= len(digests) <= MOST_TOKENS:
        raise UsageError(f"`tokens_sha256` must be an array of 1 to {MOST_TOKENS}.", "Send the sha256 of each token.")
    if not all(isinstance(one, str) and _DIGEST.fullmatch(one) for one in digests):
        raise UsageError("`tokens_sha256` holds something that is no sha256.", "Send 64 lower-case hex digits.")
    return Door(host, port, frozenset(digests))


async def events(host: ModelHost, asked: Door, behind: Callable[[Door], ASGIApp]) -> AsyncIterator[str]:
    """Open a door and keep it open; closing the iterator closes it.  `behind` makes what is behind it, once the port is known.

    Raises:
        UsageError: the address is taken, or not to be had.
    """
    listener = _bind(asked)
    door = Door(asked.host, listener.getsockname()[1], asked.digests)
    server = Server(configuration(behind(door), CONNECTIONS))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    host.doors.append(door.address)
    log.info("door opened address=%s tokens=%d", door.address, len(door.digests))
    try:
        yield data({"host": door.host, "port": door.port, "model": host.spec.name})
        while not (host.draining or host.ended.is_set()):
            await asyncio.wait((serving,), timeout=_WATCH)
        yield data({"ended": True})
    finally:
        host.doors.remove(door.address)
        host.closing.add(asyncio.ensure_future(_close(server, serving, listener)))
        log.info("door closed address=%s", door.address)


async def _close(server: Server, serving: asyncio.Task[None], listener: socket.socket) -> None:
    for one in getattr(server, "servers", ()):
        one.close()
    server.should_exit = True
    with suppress(asyncio.CancelledError):
        await serving
    listener.close()


def _bind(door: Door) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(door.host, door.port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{door.host!r} is no address of this machine.", "Use 127.0.0.1, or one that it has.") from error
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _not_to_be_had(door, error) from error
    listener.setblocking(False)
    return listener


def _not_to_be_had(door: Door, error: OSError) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(f"Port {door.port} is in use.", "Choose another with --port; 0 takes a free one.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UsageError(f"Port {door.port} may not be used by you.", "Choose one from 1024 on.")
    return UsageError(f"{door.address} is not to be had: {error.strerror}.", "Choose another --host or --port.")
