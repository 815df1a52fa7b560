"""Serving many editors at a Unix socket: one session for each connection, none of which can disturb another."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

from assistant.errors import StorageError, UsageError
from server.framing import MAX_BODY
from server.transport import PIECE, converse


def serve_socket(path: Path) -> int:
    """Serve at `path`, which only the user can reach, until the process is ended.

    Raises:
        UsageError: this platform has no Unix sockets.
        StorageError: the socket cannot be made there.
    """
    if sys.platform == "win32":
        raise UsageError("This platform has no Unix sockets.", "Use standard input and output.")
    if _answers(path):
        raise StorageError(f"{path} is served already.", "Use that server, or choose another path.")
    try:
        asyncio.new_event_loop().run_until_complete(_serve(path))
    except OSError as error:
        raise StorageError(f"{path} cannot be served: {error.strerror or error}.", "Choose another path.") from error
    return 0


async def _serve(path: Path) -> None:
    before = os.umask(0o177)
    try:  # what a server that was killed left behind is replaced
        server = await asyncio.start_unix_server(_connected, path)
    finally:
        os.umask(before)
    async with server:
        await server.serve_forever()


async def _connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    def send(data: bytes) -> None:
        writer.write(data)
        if writer.transport.get_write_buffer_size() > 2 * MAX_BODY:
            writer.transport.abort()  # nobody reads there any more

    async def read() -> bytes:
        try:
            return await reader.read(PIECE)
        except OSError:
            return b""

    await converse(read, send, owned=False)
    writer.close()


def _answers(path: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX) as caller:
        return caller.connect_ex(str(path)) == 0
