"""The socket that a host listens on: a Unix socket in a private folder, or loopback TCP with a token."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from assistant.address import HostRecord, build, host_file
from assistant.errors import StorageError
from assistant.models.spec import ModelSpec

PATH_LIMIT = 100
"""Bytes of a Unix socket's path; systems take 104 or 108."""

BACKLOG = 128


def listen(spec: ModelSpec) -> tuple[socket.socket, HostRecord]:
    """A listening socket and the record that tells others where it is.

    `STARCHAT_TRANSPORT=tcp` asks for TCP where Unix sockets exist too.

    Raises:
        StorageError: no private folder for the socket can be had.
    """
    unix = hasattr(socket, "AF_UNIX") and os.environ.get("STARCHAT_TRANSPORT", "unix") != "tcp"
    listener, place = _unix(spec.key) if unix else _tcp()
    listener.listen(BACKLOG)
    listener.setblocking(False)
    path, port, token = place
    record = HostRecord(
        key=spec.key, model=spec.name, pid=os.getpid(), started=time.time(), socket=path, port=port, token=token, build=build()
    )
    return listener, record


Place = tuple[str | None, int | None, str | None]


def _unix(key: str) -> tuple[socket.socket, Place]:
    path = _socket_path(key)
    with suppress(FileNotFoundError):
        path.unlink()  # the lock is ours, so the host that made it is dead
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    return listener, (str(path), None, None)


def _tcp() -> tuple[socket.socket, Place]:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    return listener, (None, listener.getsockname()[1], secrets.token_urlsafe(32))


def _socket_path(key: str) -> Path:
    path = host_file(key, "sock")
    if len(os.fsencode(path)) <= PATH_LIMIT:
        return path
    home = hashlib.sha256(os.fsencode(path.parent)).hexdigest()[:8]
    return _short_folder() / f"{home}-{key}.sock"


def _short_folder() -> Path:
    """A private folder with a short path, for homes whose path is too long."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    for root in (runtime, tempfile.gettempdir(), "/tmp"):
        if root and len(os.fsencode(root)) <= PATH_LIMIT - 50:
            folder = Path(root) / f"starchat-{os.getuid()}"
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            found = folder.lstat()
            if folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
                continue
            return folder
    raise StorageError("No private folder with a short path can be had for the socket.", "Set STARCHAT_HOME to a shorter path.")
