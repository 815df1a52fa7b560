"""Many editors at one socket: a session for each, none of which disturbs another."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.editor_at_pipes import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no Unix sockets")


class Caller:
    """One connection."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.stream = self.socket.makefile("rb")

    def ask(self, number: Any, method: str, params: Any) -> dict[str, Any]:
        body = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        length = int(self.stream.readline().split(b":")[1])
        self.stream.readline()
        return json.loads(self.stream.read(length))


@pytest.fixture
def path(environment: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "s"
    command = [sys.executable, "-P", "-m", "server", "--socket", str(path)]
    server = subprocess.Popen(command, cwd=tmp_path, env={**environment, "PYTHONPATH": str(ROOT)})
    while not path.exists() and server.poll() is None:
        time.sleep(0.01)
    yield path
    assert server.poll() is None
    server.kill()
    server.wait()


def test_a_socket_that_is_served_is_not_taken_over(path: Path, environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "server", "--socket", str(path)]
    second = subprocess.run(command, cwd=tmp_path, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert second.returncode == 7
    assert "served already" in second.stderr
    assert Caller(path).ask(1, "initialize", {"capabilities": {}})["id"] == 1


def test_one_leaving_leaves_the_others(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    gone = subprocess.Popen(["true"])
    gone.wait()
    callers = [Caller(path) for _ in range(3)]
    for number, caller in enumerate(callers):
        answer = caller.ask(f"{number}", "initialize", {"processId": gone.pid, "capabilities": {}})
        assert answer["id"] == f"{number}"
    assert callers[0].ask(1, "shutdown", None)["result"] is None
    callers[0].socket.sendall(b"Content-Length: 40\r\n\r\n" + b'{"jsonrpc": "2.0", "method":   "exit"}  ')
    assert callers[0].stream.read() == b""
    callers[1].socket.close()
    callers[1].stream.close()
    time.sleep(1.2)  # longer than a parent watch takes to look
    assert callers[2].ask("x", "starchat/ping", {}) == {"jsonrpc": "2.0", "id": "x", "result": {"ok": True}}
    callers[2].stream.close()
    callers[2].socket.close()


@pytest.mark.parametrize("name", ["notes.txt", "x" * 150])
def test_what_lies_where_a_socket_cannot_be_stays(name: str, environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("mine")
    command = [sys.executable, "-P", "-m", "server", "--socket", str(path)]
    done = subprocess.run(command, cwd=tmp_path, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 7
    assert "cannot be served" in done.stderr and "Traceback" not in done.stderr
    assert path.read_text() == "mine"


def test_the_socket_goes_with_the_server(environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "s"
    command = [sys.executable, "-P", "-m", "server", "--socket", str(path)]
    server = subprocess.Popen(command, cwd=tmp_path, env={**environment, "PYTHONPATH": str(ROOT)})
    while not path.exists() and server.poll() is None:
        time.sleep(0.01)
    server.terminate()
    assert server.wait(10) == 0
    assert not path.exists()
