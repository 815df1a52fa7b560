"""Serving many editors at an address: one session for each connection, none of which can disturb another."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from assistant.errors import StorageError, UsageError
from server.admission import MOST_BEFORE, admitted, secret
from server.framing import MAX_BODY, Frames, frame
from server.transport import PIECE, converse, in_frames

TCP, WEBSOCKET = "127.0.0.1:8474", "127.0.0.1:8475"
"""Where the server listens unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Address:
    """A place in the network; port 0 means any that is free."""

    scheme: Literal["tcp", "ws"]
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def address(scheme: Literal["tcp", "ws"], text: str) -> Address:
    """`HOST:PORT`, `PORT` or `[IPv6]:PORT` as an address.

    Raises:
        UsageError: it is none of these.
    """
    host, _, port = text.rpartition(":")
    host = host or "127.0.0.1"
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not (port.isascii() and port.isdigit() and int(port) < 65536) or (":" in bare and bare == host):
        raise UsageError(f"{text!r} is no address.", "Write HOST:PORT, such as 127.0.0.1:8474.")
    return Address(scheme, bare, int(port))


def serve_socket(path: Path) -> int:
    """Serve at `path`, which only the user can reach, until the process is ended.

    Raises:
        UsageError: this platform has no Unix sockets.
        StorageError: the socket cannot be made there.
    """
    if sys.platform == "win32":
        raise UsageError("This platform has no Unix sockets.", "Use standard input and output, or --tcp.")
    try:
        if _answers(path):
            raise StorageError(f"{path} is served already.", "Use that server, or choose another path.")
        return _until_stopped(_serve_unix(path))
    except OSError as error:
        raise StorageError(f"{path} cannot be served: {error.strerror or error}.", "Choose another path.") from error


def serve_address(where: Address, origins: Sequence[str] = ()) -> int:
    """Serve at an address, to whoever knows the token, until the process is ended.

    origins: web pages that may connect to a WebSocket.

    Raises:
        AssistantError: the address or the token cannot be used.
    """
    token, file = secret()
    try:
        return _until_stopped(_serve_address(where, token, file, origins))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StorageError(f"{where} cannot be served: {reason}.", "Choose another address.") from error


async def _serve_unix(path: Path) -> None:
    before = os.umask(0o177)
    try:  # what a server that was killed left behind is replaced
        server = await asyncio.start_unix_server(lambda reader, writer: _connected(reader, writer, ""), path)
    finally:
        os.umask(before)
    try:
        async with server:
            await server.serve_forever()
    finally:
        _remove(path)


async def _serve_address(where: Address, token: str, file: Path, origins: Sequence[str]) -> None:
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    ready.add_done_callback(lambda port: _announce(Address(where.scheme, where.host, port.result()), file))
    if where.scheme == "ws":
        from server.websocket import serve_websocket

        return await serve_websocket(where.host, where.port, token, origins, ready)
    server = await asyncio.start_server(lambda reader, writer: _connected(reader, writer, token), where.host, where.port)
    async with server:
        ready.set_result(server.sockets[0].getsockname()[1])
        await server.serve_forever()
    return None


def _announce(where: Address, file: Path) -> None:
    print(f"assistant-server: listening at {where}; the token is in {file}", file=sys.stderr, flush=True)
    if not where.local:
        warning = "what travels there is not encrypted: use a tunnel, such as ssh -L, where others share the network"
        print(f"assistant-server: {warning}", file=sys.stderr, flush=True)


def _until_stopped(serving: Coroutine[Any, Any, None]) -> int:
    """Run until SIGINT (130) or SIGTERM (0) ends it; every session is wound up first."""
    try:
        asyncio.run(_terminable(serving))
    except KeyboardInterrupt:
        return 130
    return 0


async def _terminable(serving: Coroutine[Any, Any, None]) -> None:
    task, terminated = asyncio.ensure_future(serving), asyncio.Event()

    def terminate() -> None:
        terminated.set()
        task.cancel()

    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    try:
        await task
    except asyncio.CancelledError:
        if not terminated.is_set():
            raise


async def _connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
    """One connection; without a token whoever reaches the socket may use it."""

    def send(body: bytes) -> None:
        writer.write(frame(body))
        if writer.transport.get_write_buffer_size() > 2 * MAX_BODY:
            writer.transport.abort()  # nobody reads there any more

    async def read() -> bytes:
        try:
            return await reader.read(PIECE)
        except OSError:
            return b""

    _keep_alive(writer)
    frames = Frames(MOST_BEFORE if token else MAX_BODY)
    receive = in_frames(frames, read)
    try:
        first = await admitted(receive, send, token) if token else []
        if first or not token:
            frames.most = MAX_BODY
            await converse(receive, send, owned=False, first=first)
    finally:
        writer.close()


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Have the system find out about clients that vanished without a word."""
    connection = writer.get_extra_info("socket")
    if connection.family != getattr(socket, "AF_UNIX", None):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _remove(path: Path) -> None:
    """Take away a socket that was made here; what lies there otherwise is the user's."""
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX) as caller:
        return caller.connect_ex(str(path)) == 0
