"""An editor at a TCP or WebSocket server, and that server as a process."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.server.editor_at_pipes import ROOT, Editor, framed_bodies

Kind = Literal["tcp", "ws"]


class Served:
    """A server that many editors may reach."""

    def __init__(self, kind: Kind, environment: dict[str, str], folder: Path, *more: str) -> None:
        self.kind = kind
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "server", f"--{kind}", "127.0.0.1:0", *more],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
        )
        line = self.process.stderr.readline().decode()
        found = re.search(r"127\.0\.0\.1:(\d+); the token is in (.+)\n", line)
        assert found, line + self.process.stderr.read().decode()
        self.port, self.file = int(found[1]), Path(found[2])
        self.token = self.file.read_text().strip()
        self.said = bytearray()
        threading.Thread(target=self._drain, daemon=True).start()

    def editor(self, **how: Any) -> TcpEditor | WebSocketEditor:
        return TcpEditor(self) if self.kind == "tcp" else WebSocketEditor(self, **how)

    def close(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def _drain(self) -> None:
        while data := self.process.stderr.read1(4096):
            self.said += data


class TcpEditor(Editor):
    def __init__(self, served: Served) -> None:
        self.process = served.process
        self.token = served.token
        self.socket = socket.create_connection(("127.0.0.1", served.port), 10)
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.gone = threading.Event()
        self._prepare()

    def initialize(self, capabilities: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
        options = {"token": self.token, **params.pop("initializationOptions", {})}
        return super().initialize(capabilities, initializationOptions=options, **params)

    def raw(self, data: bytes) -> None:
        with self._lock:
            self.socket.sendall(data)

    def close(self) -> None:
        self.socket.close()

    def _bodies(self) -> Iterator[bytes]:
        with suppress(OSError):
            yield from framed_bodies(self.socket.makefile("rb"))
        self.gone.set()


class WebSocketEditor(TcpEditor):
    """`raw` sends bytes past the WebSocket protocol, `put` one message."""

    def __init__(self, served: Served, path: str = "/", **how: Any) -> None:
        self.process = served.process
        self.token = served.token
        self.connection = connect(
            f"ws://127.0.0.1:{served.port}{path}", proxy=None, max_size=None, compression=None, **how
        ).__enter__()
        self.socket = self.connection.socket
        self.gone = threading.Event()
        self._prepare()

    def put(self, body: bytes) -> None:
        self.connection.send(body, text=_is_text(body))

    def close(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def _bodies(self) -> Iterator[bytes]:
        try:
            while True:
                yield self.connection.recv(decode=False)
        except (ConnectionClosed, OSError):
            self.gone.set()


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
