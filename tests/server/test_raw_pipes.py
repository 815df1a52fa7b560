"""What no input may do to the server: end it, silence it, or put it out of step."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scale import rounds
from tests.server.buffer import end_hosts
from tests.server.editor_at_pipes import Editor


def ping(editor: Editor) -> None:
    assert editor.request("starchat/ping", {}, seconds=5)["result"] == {"ok": True}


def framed(message: object) -> bytes:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def test_order_of_a_connection(editor: Editor) -> None:
    assert editor.request("textDocument/codeAction", {})["error"]["code"] == -32002
    result = editor.initialize()
    assert result["serverInfo"]["name"] == "starchat"
    assert editor.request("initialize", {"capabilities": {}})["error"]["code"] == -32600
    assert editor.request("no/such", {})["error"]["code"] == -32601
    assert editor.request("shutdown")["result"] is None
    assert editor.request("starchat/ping", {})["error"]["code"] == -32600
    editor.notify("exit")
    assert editor.process.wait(2) == 0


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (framed(b"{bad json"), -32700),
        (framed(b"\xff\xfe{}"), -32700),
        (framed(b"[" * 100_000), -32700),
        (framed([{"jsonrpc": "2.0", "id": 1, "method": "starchat/ping"}]), -32600),
        (framed({"id": "bad", "method": "starchat/ping"}), -32600),
        (framed({"jsonrpc": "1.0", "id": "bad", "method": "starchat/ping"}), -32600),
        (framed({"jsonrpc": "2.0", "id": True, "method": "starchat/ping"}), -32600),
        (framed({"jsonrpc": "2.0", "id": None, "method": "starchat/ping"}), -32600),
        (framed({"jsonrpc": "2.0", "id": 1.5, "method": "starchat/ping"}), -32600),
        (framed({"jsonrpc": "2.0", "id": "bad", "method": 5}), -32600),
        (framed({"jsonrpc": "2.0", "id": "bad", "method": "textDocument/codeAction", "params": "x"}), -32602),
        (framed({"jsonrpc": "2.0", "id": "bad", "method": "textDocument/codeAction", "params": {"range": 3}}), -32602),
        (framed({"jsonrpc": "2.0", "id": "bad", "method": "textDocument/codeAction"}), -32602),
        (framed({"jsonrpc": "2.0", "id": "bad", "method": "workspace/executeCommand", "params": [1]}), -32602),
        (b"Content-Length: 1000000000000\r\n\r\n{}", -32700),
        (b'Content-Length: 9000\r\n\r\n{"half":', -32700),
        (b"Content-Length: 0\r\n\r\n", -32700),
    ],
)
def test_bad_messages_get_one_error_and_the_next_is_served(shared: Editor, raw: bytes, code: int) -> None:
    shared.replies.queue.clear()
    shared._early.clear()
    shared.raw(raw)
    ping(shared)
    assert [reply["error"]["code"] for reply in shared._early.values()] == [code]
    assert not shared.messages("window/showMessage")


@pytest.mark.parametrize(
    "header",
    ["content-length: {}\r\n\r\n", "Content-Length: {}\n\n", "CONTENT-LENGTH:{}\r\nContent-Type: x; charset=utf-8\r\n\r\n"],
)
def test_frames_are_read_leniently(shared: Editor, header: str) -> None:
    body = b'{"jsonrpc":"2.0","id":"lenient","method":"starchat/ping"}'
    shared.raw(header.format(len(body)).encode() + body)
    assert shared.reply("lenient", 5)["result"] == {"ok": True}
    ping(shared)


@pytest.mark.parametrize(
    "junk", [b"Content-Length: -5\r\n\r\n", b"garbage line\r\n", b"Content-Length: x\r\n\r\n{}", b"\x00" * 20_000]
)
def test_junk_between_frames_is_passed_over(shared: Editor, junk: bytes) -> None:
    shared.raw(junk)
    ping(shared)


def test_every_request_gets_exactly_one_reply(shared: Editor) -> None:
    chance = random.Random(7)
    shared.replies.queue.clear()
    shared._early.clear()
    left = rounds(50_000)
    while left > 0:
        left -= 1000
        asked = _burst(shared, chance)
        got = Counter(shared.replies.get(timeout=20)["id"] for _ in range(sum(asked.values())))
        assert got == asked
    ping(shared)
    assert shared.replies.empty()


def _burst(editor: Editor, chance: random.Random) -> Counter[str]:
    """Requests, cancels and ids that are in use, a thousand at once; how often each id was asked."""
    asked: Counter[str] = Counter()
    methods = ["starchat/ping", "no/such", "textDocument/codeAction", "starchat/status", "workspace/executeCommand"]
    inline = {"textDocument": {"uri": "file:///x.py"}, "position": {"line": 0, "character": 0}, "context": {"triggerKind": 1}}
    for _ in range(1000):
        number = f"r{chance.randrange(400)}"
        if chance.random() < 0.2:
            editor.notify("$/cancelRequest", {"id": number})
            continue
        asked[number] += 1
        if chance.random() < 0.3:
            editor.send({"id": number, "method": "textDocument/inlineCompletion", "params": inline})
        else:
            params = chance.choice([{}, None, [], {"command": "x"}, {"command": "starchat.cancel"}])
            editor.send({"id": number, "method": chance.choice(methods), "params": params})
    return asked


def test_a_duplicate_id_in_flight_is_refused(shared: Editor) -> None:
    shared.raw(framed({"jsonrpc": "2.0", "id": "d", "method": "starchat/ping"}) * 2)
    assert "result" in shared.reply("d", 5)
    assert shared.reply("d", 5)  # answered at once each time, so the id was free again


@pytest.mark.parametrize("how", ["request", "progress", "command"])
def test_a_stop_that_comes_with_what_it_stops(editor: Editor, script: Callable[..., str], how: str) -> None:
    """Both are read at once, and the job must be there when its stop is looked at."""
    editor.initialize(initializationOptions={"model": script({"reply": "x" * 5000, "delay_ms": 20})})
    editor.request("workspace/executeCommand", {"command": "starchat.cancel"})
    stops: dict[str, dict[str, object]] = {
        "request": {"method": "$/cancelRequest", "params": {"id": "job"}},
        "progress": {"method": "window/workDoneProgress/cancel", "params": {"token": "t"}},
        "command": {"id": "stop", "method": "workspace/executeCommand", "params": {"command": "starchat.cancel"}},
    }
    asked = {"command": "starchat.ask", "arguments": [{"question": "Who?"}], "workDoneToken": "t"}
    job = {"jsonrpc": "2.0", "id": "job", "method": "workspace/executeCommand", "params": asked}
    editor.raw(framed(job) + framed({"jsonrpc": "2.0", **stops[how]}))
    reply = editor.reply("job", 10)
    assert reply.get("error", {}).get("code") == -32800 or reply["result"]["outcome"] == "cancelled"
    if how == "progress":
        chat = editor.request("starchat/chat/create", {})["result"]["chat"]
        turn = {"id": "turn", "method": "starchat/chat/turn", "params": {"chat": chat, "text": "Who?", "token": "t"}}
        editor.raw(framed({"jsonrpc": "2.0", **turn}) + framed({"jsonrpc": "2.0", **stops[how]}))
        assert editor.reply("turn", 10)["error"]["code"] == -32800


def test_a_large_document_is_taken(shared: Editor) -> None:
    shared.open("file:///big.py", "x = 1\n" * 350_000)
    ping(shared)


def test_exit_without_shutdown_is_1(editor: Editor) -> None:
    editor.initialize()
    editor.notify("exit")
    assert editor.process.wait(2) == 1


@pytest.mark.parametrize("half", [b"", b"Content-Length: 500\r\n\r\n{"])
def test_closed_input_ends_the_server(editor: Editor, half: bytes) -> None:
    editor.initialize()
    editor.raw(half)
    editor.process.stdin.close()
    assert editor.process.wait(2) == 1


def test_a_parent_that_is_gone_ends_the_server(start: Callable[[], Editor]) -> None:
    parent = subprocess.Popen(["sleep", "60"])
    editor = start()
    editor.initialize(processId=parent.pid)
    parent.kill()
    parent.wait()
    assert editor.process.wait(5) == 1


def test_a_client_that_reads_nothing_does_not_stop_it(editor: Editor) -> None:
    editor.initialize()
    os.set_blocking(editor.process.stdout.fileno(), True)
    for _ in range(3000):
        editor.send({"id": "same", "method": "no/such", "params": {}})
    ping(editor)


@pytest.mark.parametrize("level", ["WARNING", "DEBUG"])
def test_logs_hold_no_content(environment: dict[str, str], script: Callable[..., str], tmp_path: Path, level: str) -> None:
    editor = Editor(environment, tmp_path, "--log", level)
    editor.initialize(initializationOptions={"model": script({"reply": "CANARY-TEXT"})})
    editor.open("file:///a.py", "CANARY-TEXT = 1\n")
    editor.change("file:///a.py", 1, {"text": "CANARY-TEXT"})
    editor.change("file:///never-opened.py", 1, {"text": "CANARY-TEXT"})
    editor.change("file:///a.py", 2, {"range": "CANARY-TEXT", "text": "CANARY-TEXT"})
    editor.send({"id": "x", "method": "textDocument/codeAction", "params": {"CANARY-TEXT": "CANARY-TEXT"}})
    editor.put(b'{"CANARY-TEXT')
    ping(editor)
    assert not editor.messages("window/showMessage")
    editor.open("file:///a.py", "CANARY_TEXT = 1\n", 3)
    for name in ("ask", "fix"):
        argument = {"uri": "file:///a.py", "question": "CANARY-TEXT?"}
        params = {"command": f"starchat.{name}", "arguments": [argument], "workDoneToken": name}
        assert "CANARY-TEXT" in editor.request("workspace/executeCommand", params)["result"]["text"]
    chat = editor.request("starchat/chat/create", {})["result"]["chat"]
    assert "result" in editor.request("starchat/chat/turn", {"chat": chat, "text": "CANARY-TEXT"})
    editor.close()
    end_hosts(tmp_path / "home")
    assert (b"starchat: DEBUG" in editor.stderr) == (level == "DEBUG")
    assert b"CANARY" not in editor.stderr
