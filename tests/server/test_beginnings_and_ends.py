"""The first moments of a server: whatever a client says there, and however it ends there."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.scale import SpinLoop, rounds
from tests.server.buffer import engine_is_idle, processes_of
from tests.server.editor_at_pipes import VSCODE, Editor

ODD: tuple[dict[str, Any], ...] = (
    {"capabilities": []},
    {"capabilities": {"workspace": {"workspaceEdit": {"resourceOperations": 5}}}},
    {"capabilities": {"general": {"positionEncodings": "utf-8"}}},
    {"capabilities": {"general": {"positionEncodings": [[], None, 8]}}},
    {"capabilities": {"window": 1, "textDocument": {"codeAction": "yes"}}},
    {"processId": 10**30},
    {"processId": -1},
    {"workspaceFolders": 7, "rootUri": 8},
    {"workspaceFolders": [None, {"uri": 5}]},
    {"initializationOptions": [1]},
    {"initializationOptions": {"starchat": {"model": 5}}},
)


@pytest.mark.parametrize("params", ODD, ids=str)
def test_an_odd_greeting_is_answered(editor: Editor, params: dict[str, Any]) -> None:
    result = editor.request("initialize", {"processId": None, "rootUri": None, "capabilities": {}, **params})["result"]
    assert result["capabilities"]["positionEncoding"] == "utf-16"
    editor.notify("initialized", {})
    assert editor.request("starchat/ping", {})["result"] == {"ok": True}
    assert not any("Traceback" in line for line in bytes(editor.stderr).decode().splitlines())


ENDS = ("goodbye", "exit", "closed", "killed", "orphaned", "half")


def test_an_end_in_the_middle_of_the_greeting(start: Callable[[], Editor], tmp_path: Path) -> None:
    """At any moment from the start of the process to the end of its reading: the right exit code, soon, and nobody left."""
    chance = random.Random(9)
    with SpinLoop() as loop:
        for number in range(max(2 * len(ENDS), rounds(200))):
            how, parent = ENDS[number % len(ENDS)], subprocess.Popen(["sleep", "600"])
            editor = start()
            time.sleep(chance.random() * 0.3)
            hello = {"processId": parent.pid, "rootUri": None, "capabilities": VSCODE}
            if how == "half":
                editor.raw(b"Content-Length: 5000\r\n\r\n" + json.dumps(hello).encode()[:40])
            else:
                editor.begin("initialize", hello)
            time.sleep(chance.random() * 0.6)
            began = time.monotonic()
            code = end(editor, parent, how)
            assert code == {"goodbye": 0, "killed": -signal.SIGKILL}.get(how, 1), how
            assert time.monotonic() - began < (5 if how == "orphaned" else 2) + 1 + 10 * loop.worst
            parent.kill()
            parent.wait()
    assert not processes_of(tmp_path / "home")


def end(editor: Editor, parent: subprocess.Popen[bytes], how: str) -> int:
    if how == "goodbye":
        editor.begin("shutdown")
    if how in ("goodbye", "exit"):
        editor.notify("exit")
    elif how in ("closed", "half"):
        editor.process.stdin.close()
    elif how == "killed":
        editor.process.kill()
    else:
        parent.kill()
        parent.wait()
    return editor.process.wait(30)


def settings(editor: Editor, model: str, delay: float) -> None:
    """The client has the model in its own settings, and takes its time to give them."""

    def give(params: Any) -> list[Any]:
        time.sleep(delay)
        return [{"model": model}]

    editor.answers["workspace/configuration"] = give
    editor.answers["window/workDoneProgress/create"] = lambda params: None
    editor.answers["client/registerCapability"] = lambda params: None
    editor.answers["workspace/textDocumentContent/refresh"] = lambda params: None
    editor.answers["window/showDocument"] = lambda params: {"success": True}


def test_settings_that_were_asked_for_are_waited_for(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    """Else a file that is opened at once would start the host of a model that the user does not want."""
    unwanted, wanted = script({"reply": "wrong"}), script({"reply": "right"})
    settings(editor, wanted, 0.4)
    editor.initialize(VSCODE, initializationOptions={"model": unwanted})
    editor.open("file:///a.py", "x = 1\n")
    params = {"command": "starchat.ask", "arguments": [{"question": "Who?"}], "workDoneToken": 1}
    assert editor.request("workspace/executeCommand", params)["result"]["text"] == "right"
    assert len(list((tmp_path / "home" / "hosts").glob("*.json"))) == 1


def test_settings_of_other_servers_say_nothing(editor: Editor, script: Callable[..., str]) -> None:
    editor.initialize(initializationOptions={"model": script({"reply": "right"})})
    ask = {"command": "starchat.ask", "arguments": [{"question": "Who?"}], "workDoneToken": 1}
    for foreign in ({"python": {"path": "x"}}, {"starchatty": 1}, [], 5):
        editor.notify("workspace/didChangeConfiguration", {"settings": foreign})
    assert editor.request("workspace/executeCommand", ask)["result"]["text"] == "right"


def test_a_folder_that_left_the_workspace_is_outside(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        (folder / "a.py").write_text("x = 1\n")
    uris = [{"uri": f"{folder.as_uri()}/", "name": folder.name} for folder in folders]
    editor.answers["workspace/applyEdit"] = lambda params: {"applied": True}
    options = {"model": script({"reply": "x = 2\n```\n"})}
    editor.initialize({"window": {"workDoneProgress": True}}, initializationOptions=options, workspaceFolders=uris)

    def outcome(folder: Path) -> str:
        params = {"command": "starchat.fix", "arguments": [{"uri": (folder / "a.py").as_uri()}], "workDoneToken": 1}
        return editor.request("workspace/executeCommand", params)["result"]["outcome"]

    assert [outcome(folder) for folder in folders] == ["applied", "applied"]
    gone = [{"uri": folders[1].as_uri(), "name": "two"}]  # spelled without the slash
    editor.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": gone}})
    assert [outcome(folder) for folder in folders] == ["applied", "failed"]


def test_a_host_that_dies_costs_one_command(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    model = script({"match": "Again", "reply": "Here."}, {"reply": "x" * 300, "delay_ms": 5})
    editor.initialize(VSCODE, initializationOptions={"model": model})
    ask = {"command": "starchat.ask", "arguments": [{"question": "Who?"}], "workDoneToken": "t"}
    number = editor.begin("workspace/executeCommand", ask)
    editor.wait_for(lambda each: "writing" in str(each.get("params", {}).get("value", "")))
    record = json.loads(next((tmp_path / "home" / "hosts").glob("*.json")).read_text())
    os.kill(record["pid"], signal.SIGKILL)
    result = editor.reply(number, 10)["result"]
    assert (result["outcome"], result["code"]) == ("failed", "host_crashed")
    assert editor.request("starchat/status")["result"]["active"] == 0
    ask = {**ask, "arguments": [{"question": "Again: who?"}], "workDoneToken": "u"}
    assert editor.request("workspace/executeCommand", ask)["result"]["text"] == "Here."
    assert engine_is_idle(tmp_path / "home")


def test_many_jobs_at_once_deafen_nobody(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    """Handlers in a pool of six threads did: the seventh request waited for one of them, and so did every key."""
    editor.initialize(VSCODE, initializationOptions={"model": script({"reply": "x" * 5000, "delay_ms": 20})})
    editor.open("file:///a.py", "x = 1\n")
    fix = {"command": "starchat.fix", "arguments": [{"uri": "file:///a.py"}]}
    numbers = [editor.begin("workspace/executeCommand", {**fix, "workDoneToken": n}) for n in range(12)]
    editor.wait_for(lambda each: "writing" in str(each.get("params", {}).get("value", "")))
    with SpinLoop() as loop:
        took = []
        for _ in range(50):
            began = time.monotonic()
            editor.request("starchat/ping", {}, 5)
            took.append(time.monotonic() - began)
        assert sorted(took)[25] < 0.05 + 10 * loop.worst
        for number in reversed(numbers):
            editor.notify("$/cancelRequest", {"id": number})
        ends = [editor.reply(number, 5) for number in numbers]
    assert all(each.get("error", {}).get("code") == -32800 or each["result"]["outcome"] == "cancelled" for each in ends)
    assert editor.request("starchat/status")["result"]["active"] == 0


def test_nothing_is_generated_in_resolve(editor: Editor, script: Callable[..., str]) -> None:
    editor.initialize(VSCODE, initializationOptions={"model": script({"reply": "x"}, load_ms=3000)})
    editor.open("file:///a.py", "x = 1\n")
    where = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}
    params = {"textDocument": {"uri": "file:///a.py"}, "range": where, "context": {"diagnostics": []}}
    began = time.monotonic()
    for action in editor.request("textDocument/codeAction", params)["result"]:
        assert editor.request("codeAction/resolve", action)["result"] == action
        assert "edit" not in action
    assert time.monotonic() - began < 2


def test_a_change_that_cannot_be_read_puts_its_document_out_of_step(editor: Editor, script: Callable[..., str]) -> None:
    editor.initialize(VSCODE, initializationOptions={"model": script({"reply": "x"})})
    one, two = "file:///one.py", "file:///two.py"

    def in_step(uri: str) -> bool:
        where = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}
        params = {"textDocument": {"uri": uri}, "range": where, "context": {"diagnostics": []}}
        return all("disabled" not in each for each in editor.request("textDocument/codeAction", params)["result"])

    broken = b'{"jsonrpc":"2.0","method":"textDocument/didChange","params":{'
    for spoil, both in (
        (lambda: editor.change(one, 2, {"range": {"start": {"line": -1, "character": 0}}, "text": "x"}), False),
        (lambda: editor.change(one, 2, 5), False),
        (lambda: editor.put(broken), True),
        (lambda: editor.raw(b"Content-Length: 900\r\n\r\n" + broken), True),
        (lambda: editor.raw(b"Content-Length: 70000000\r\n\r\n"), True),
    ):
        editor.open(one, "x = 1\n")
        editor.open(two, "x = 1\n")
        assert in_step(one) and in_step(two)
        spoil()
        assert not in_step(one)
        assert in_step(two) != both
        editor.change(one, 3, {"text": "x = 2\n"})
        assert in_step(one)
