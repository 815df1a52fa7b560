"""Editors over TCP and WebSocket: only with the token, each in a session of its own, none able to disturb another."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.buffer import BUGGY, FIXED, REPLY, WHERE, Buffer, begin, end_hosts, engine_is_idle, run
from tests.server.editor_at_network import Kind, Served
from tests.server.editor_at_pipes import VSCODE


@pytest.fixture(params=["tcp", "ws"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture
def served(kind: Kind, environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    server = Served(kind, environment, tmp_path, *getattr(request, "param", ()))
    yield server
    assert server.process.poll() is None, server.said
    assert server.close() == 0
    end_hosts(tmp_path / "home")


def test_a_bug_is_fixed_over_the_network(served: Served, script: Callable[..., str], tmp_path: Path) -> None:
    editor = served.editor()
    begin(editor, VSCODE, script({"reply": REPLY}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    assert run(editor, "fix", {"uri": buffer.uri, "range": WHERE})["outcome"] == "applied"
    assert buffer.text == FIXED
    editor.request("shutdown")
    editor.notify("exit")
    assert editor.gone.wait(5)


STRANGERS: tuple[Any, ...] = (
    {"id": 1, "method": "initialize", "params": {"capabilities": {}}},
    {"id": 1, "method": "initialize", "params": {"initializationOptions": {"token": "wrong" * 9}}},
    {"id": 1, "method": "initialize", "params": {"initializationOptions": {"token": ["\ud800"]}}},
    {"id": 1, "method": "initialize", "params": {"initializationOptions": {"starchat": {"token": "\ud800"}}}},
    {"id": 1, "method": "initialize", "params": [[]]},
    {"id": 1, "method": "starchat/ping", "params": {"initializationOptions": {"token": "TOKEN"}}},
    {"method": "exit"},
    ["x"],
)


def test_nobody_without_the_token(served: Served) -> None:
    for first in STRANGERS:
        editor = served.editor()
        message = {"jsonrpc": "2.0", **first} if isinstance(first, dict) else first
        editor.put(json.dumps(message).replace("TOKEN", served.token).encode())
        answer = editor.replies.get(timeout=5)
        assert answer["error"]["data"]["code"] == "not_allowed"
        assert answer["id"] == (first.get("id") if isinstance(first, dict) else None)
        assert editor.gone.wait(5)


def test_the_token_in_each_form(served: Served) -> None:
    token = served.token
    for options in ({"token": token}, {"starchat": {"token": token, "threads": 1}}, {"starchat.token": token}):
        editor = served.editor()
        answer = editor.request("initialize", {"capabilities": {}, "initializationOptions": options})
        assert answer["result"]["serverInfo"]["name"] == "starchat"
    assert served.file.stat().st_mode & 0o777 == 0o600
    assert token.encode() not in served.said


@pytest.mark.parametrize("kind", ["ws"])
@pytest.mark.parametrize("served", [("--origin", "https://good.example")], indirect=True)
def test_the_request_for_a_web_socket(served: Served) -> None:
    def try_it(token: str = "", path: str = "/", origin: str | None = None) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            editor = served.editor(path=path, additional_headers=headers, origin=origin)
        except InvalidStatus as refused:
            return refused.response.status_code
        editor.token = ""
        answer = editor.request("initialize", {"capabilities": {}})
        editor.close()
        return 200 if "result" in answer else 403

    right = f"/x?token={served.token}&y"
    assert try_it(served.token) == try_it(path=right) == try_it(served.token, origin="https://good.example") == 200
    assert try_it("wrong") == try_it(path="/?token=wrong") == try_it(path="/?token=") == try_it("wrong", right) == 401
    assert try_it(served.token, origin="https://evil.example") == try_it(path=right, origin="null") == 403
    assert try_it() == 403
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{served.port}/", timeout=5)


def test_one_leaving_or_raving_leaves_the_others(served: Served, script: Callable[..., str], tmp_path: Path) -> None:
    slow = script({"reply": "x" * 5000, "delay_ms": 20})
    working, raving, calm = served.editor(), served.editor(), served.editor()
    begin(working, VSCODE, slow)
    raving.initialize()
    calm.initialize()
    buffer = Buffer(working, tmp_path / "numbers.py", BUGGY, "utf-16")
    params = {"command": "starchat.fix", "arguments": [{"uri": buffer.uri}], "workDoneToken": 1}
    working.begin("workspace/executeCommand", params)
    working.wait_for(lambda each: "writing" in str(each.get("params", {}).get("value", "")))
    raving.raw(b"\xff\x00garbage\r\n" * 5000)
    working.socket.shutdown(socket.SHUT_RDWR)
    assert working.gone.wait(5)
    began = time.monotonic()
    while not engine_is_idle(tmp_path / "home"):
        assert time.monotonic() - began < 5
        time.sleep(0.02)
    assert calm.request("starchat/ping", {})["result"] == {"ok": True}
    assert served.editor().initialize()


def test_a_message_that_is_too_long(served: Served) -> None:
    stranger = served.editor()
    with suppress(OSError, ConnectionClosed):  # it may hang up before all has come
        stranger.put(b'{"x":"%s"}' % (b"x" * (2 << 20)))
    assert stranger.gone.wait(10)
    editor, calm = served.editor(), served.editor()
    editor.initialize()
    calm.initialize()
    editor.put(b'{"jsonrpc":"2.0","id":"long","method":"starchat/ping","params":{"x":"%s"}}' % (b"x" * (3 << 20)))
    assert editor.reply("long")["result"] == {"ok": True}
    with suppress(OSError, ConnectionClosed):
        editor.put(b" " * ((64 << 20) + 1))
    if served.kind == "tcp":
        assert editor.replies.get(timeout=20)["error"]["code"] == -32700
    else:
        assert editor.gone.wait(20)
    assert calm.request("starchat/ping", {})["result"] == {"ok": True}


@pytest.mark.soak
def test_a_silent_stranger_is_sent_away(served: Served) -> None:
    if served.kind == "tcp":
        assert served.editor().gone.wait(13)
    with socket.create_connection(("127.0.0.1", served.port)) as raw:
        raw.settimeout(13)
        raw.sendall(b"GET / HT")
        assert raw.recv(100) == b"" or served.kind == "ws"
