"""Chats: streamed on the client's token, remembered, stopped with their request."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.server.editor_at_pipes import NEOVIM, Editor


def begin(editor: Editor, model: str) -> str:
    editor.initialize(NEOVIM, initializationOptions={"starchat": {"model": model}})
    return editor.request("starchat/chat/create", {})["result"]["chat"]


def deltas(editor: Editor, token: str) -> list[str]:
    values = [each["params"]["value"] for each in editor.messages("$/progress") if each["params"]["token"] == token]
    return [value["text"] for value in values if value["kind"] == "delta"]


def test_a_turn_is_streamed_in_batches(editor: Editor, script: Callable[..., str]) -> None:
    reply = "Use `reversed`. 𝒳 " + " ".join(f"Word {number * 7919 % 1000}." for number in range(40))
    chat = begin(editor, script({"reply": reply, "delay_ms": 1}))
    answer = editor.request("starchat/chat/turn", {"chat": chat, "text": "How?", "token": "t"})["result"]
    assert answer["text"] == reply
    assert "".join(deltas(editor, "t")) == answer["text"]
    assert 1 < len(deltas(editor, "t")) < len(reply)
    assert answer["finishReason"] == "stop"
    assert answer["usage"]["completion"] > 0


def test_a_chat_remembers(editor: Editor, script: Callable[..., str]) -> None:
    chat = begin(editor, script({"match": "My name is Ada[\\s\\S]*Who", "reply": "Ada."}, {"reply": "Hello."}))
    editor.request("starchat/chat/turn", {"chat": chat, "text": "My name is Ada."})
    assert editor.request("starchat/chat/turn", {"chat": chat, "text": "Who am I?"})["result"]["text"] == "Ada."
    shown = editor.request("starchat/chat/show", {"chat": chat})["result"]
    assert [each["role"] for each in shown["messages"]] == ["user", "assistant", "user", "assistant"]
    (listed,) = editor.request("starchat/chat/list")["result"]["chats"]
    assert time.time() - listed.pop("updated") < 60
    assert listed == {"chat": chat, "title": "My name is Ada.", "messages": 4, "kept": True}
    assert editor.request("starchat/chat/delete", {"chat": chat})["result"] == {"deleted": chat}
    assert editor.request("starchat/chat/list")["result"]["chats"] == []


def test_a_selection_goes_with_the_message(editor: Editor, script: Callable[..., str]) -> None:
    chat = begin(
        editor, script({"match": "unseen", "reply": "too much"}, {"match": "gcd", "reply": "seen"}, {"reply": "blind"})
    )
    editor.open("untitled:1", "unseen = 1\ndef gcd(): ...\nunseen = 2\n")
    where = {"start": {"line": 1, "character": 0}, "end": {"line": 2, "character": 0}}
    turn = {"chat": chat, "text": "What is it?", "context": [{"uri": "untitled:1", "range": where}]}
    assert editor.request("starchat/chat/turn", turn)["result"]["text"] == "seen"


@pytest.mark.parametrize("how", ["request", "progress"])
def test_a_stopped_turn_stops_the_model_and_keeps_what_came(editor: Editor, script: Callable[..., str], how: str) -> None:
    chat = begin(editor, script({"reply": " ".join(map(str, range(2000))), "delay_ms": 10}))
    number = editor.begin("starchat/chat/turn", {"chat": chat, "text": "Go on", "token": "t"})
    editor.wait_for(lambda each: each.get("params", {}).get("value", {}).get("kind") == "delta")
    assert "answering" in editor.request("starchat/chat/turn", {"chat": chat, "text": "Again"})["error"]["message"]
    began = time.monotonic()
    if how == "request":
        editor.notify("$/cancelRequest", {"id": number})
    else:
        editor.notify("window/workDoneProgress/cancel", {"token": "t"})
    assert editor.reply(number, 5)["error"]["code"] == -32800
    assert time.monotonic() - began < 0.5
    messages = editor.request("starchat/chat/show", {"chat": chat})["result"]["messages"]
    assert messages[-1]["role"] == "assistant" and messages[-1]["content"].startswith("0")


def test_context_by_reference(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "a.py").write_text("x = 1\n")
    git(repository, "init", "-q")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "First")
    (repository / "a.py").write_text("x = 2\n")
    (repository / ".env").write_text("KEY=c4n4ry\n")
    editor.initialize(
        NEOVIM, rootUri=repository.as_uri(), initializationOptions={"starchat": {"model": script({"echo": True})}}
    )
    chat = editor.request("starchat/chat/create", {})["result"]["chat"]
    uri = (repository / "a.py").as_uri()
    line = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 3}}
    diagnostic = {"range": line, "message": "x is odd", "source": "lint"}
    for reference, seen, name in (
        ({"kind": "file", "uri": uri}, "x = 2", "repository/a.py"),
        ({"kind": "selection", "uri": uri, "range": line}, "lines 1 to 1", "repository/a.py:1-1"),
        (
            {"kind": "diagnostics", "uri": uri, "diagnostics": [diagnostic]},
            "line 1: x is odd (lint)",
            "problems of repository/a.py",
        ),
        ({"kind": "diff"}, "-x = 1\n+x = 2", "git diff"),
        ({"kind": "diff", "uri": uri}, "-x = 1\n+x = 2", "git diff"),
    ):
        turn = {"chat": chat, "text": "What is it?", "context": [reference]}
        assert seen in editor.request("starchat/chat/turn", turn)["result"]["text"], reference
        said = editor.request("starchat/chat/show", {"chat": chat})["result"]["messages"][-2]
        assert (said["content"], said["attached"]) == ("What is it?", [name])
    for reference, why in (
        ({"kind": "diff", "staged": True}, "Nothing is staged"),
        ({"kind": "diff", "uri": tmp_path.as_uri()}, "workspace"),
        ({"kind": "file", "uri": (tmp_path / "script0.json").as_uri()}, "neither open nor inside"),
        ({"kind": "file", "uri": (repository / ".env").as_uri()}, "looks like a secret"),
        ({"kind": "memory"}, "no context of the kind"),
        ({"kind": "selection", "uri": uri}, "needs a range"),
        ({"kind": "diagnostics", "uri": uri}, "no diagnostics"),
    ):
        error = editor.request("starchat/chat/turn", {"chat": chat, "text": "?", "context": [reference]})["error"]
        assert error["code"] == -32602 and why in error["message"], error


def test_a_chat_goes_on_in_another_editor(start: Callable[[], Editor], script: Callable[..., str]) -> None:
    model = script({"match": "My name is Ada[\\s\\S]*Who", "reply": "Ada."}, {"reply": "Hello."})
    first, second = start(), start()
    chat = begin(first, model)
    first.request("starchat/chat/turn", {"chat": chat, "text": "My name is Ada."})
    begin(second, model)
    assert second.request("starchat/chat/turn", {"chat": chat, "text": "Who am I?"})["result"]["text"] == "Ada."
    assert len(first.request("starchat/chat/show", {"chat": chat})["result"]["messages"]) == 4
    assert [each["chat"] for each in first.request("starchat/chat/list", {"search": "ada hello"})["result"]["chats"]] == [chat]
    assert second.request("starchat/chat/delete", {"chat": chat})["result"] == {"deleted": chat}
    answer = first.request("starchat/chat/turn", {"chat": chat, "text": "Who am I?"})["result"]
    assert (answer["text"], "deleted meanwhile" in answer["notes"][0]) == ("Hello.", True)


def test_a_chat_that_was_just_spoken_in_is_deleted_from_the_history(
    editor: Editor, script: Callable[..., str], tmp_path: Path
) -> None:
    chat = begin(editor, script({"reply": "Hi."}))
    editor.request("starchat/chat/turn", {"chat": chat, "text": "c4n4ry " * 9})
    assert b"c4n4ry" in (tmp_path / "home" / "history" / "history.sqlite3").read_bytes()
    editor.request("starchat/chat/delete", {"chat": chat})
    assert b"c4n4ry" not in (tmp_path / "home" / "history" / "history.sqlite3").read_bytes()


def test_a_killed_server_keeps_what_came(start: Callable[[], Editor], script: Callable[..., str]) -> None:
    editor = start()
    chat = begin(editor, script({"reply": " ".join(map(str, range(2000))), "delay_ms": 10}))
    editor.begin("starchat/chat/turn", {"chat": chat, "text": "Go on", "token": "t"})
    editor.wait_for(lambda each: "90 " in "".join(deltas(editor, "t")))
    time.sleep(0.3)
    editor.process.kill()
    editor.process.wait()
    other = start()
    other.initialize(NEOVIM)
    question, answer = other.request("starchat/chat/show", {"chat": chat})["result"]["messages"]
    assert question["content"] == "Go on"
    assert answer["content"].startswith("0 1 2") and answer["finishReason"] == "open"


def test_a_chat_that_outgrows_the_window_is_shortened_only_when_told(editor: Editor, script: Callable[..., str]) -> None:
    chat = begin(editor, script({"reply": "word " * 60}, context_length=1500))
    turn = {"chat": chat, "text": "Say " + "long " * 20}
    for _ in range(6):
        refused = editor.request("starchat/chat/turn", turn)
        if "error" in refused:
            break
    assert refused["error"]["data"]["code"] == "chat_full"
    assert "1,500" in refused["error"]["message"]
    before = len(editor.request("starchat/chat/show", {"chat": chat})["result"]["messages"])
    answer = editor.request("starchat/chat/turn", {**turn, "shorten": True})["result"]
    assert answer["leftOut"] >= 2
    assert f"first {answer['leftOut']} of {before} messages" in answer["notes"][0]
    assert len(editor.request("starchat/chat/show", {"chat": chat})["result"]["messages"]) == before + 2


def test_without_history_nothing_is_written(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    editor.initialize(NEOVIM, initializationOptions={"starchat": {"model": script({"reply": "Hi."}), "history": False}})
    created = editor.request("starchat/chat/create", {"title": "T"})["result"]
    assert created["kept"] is False
    chat = created["chat"]
    assert editor.request("starchat/chat/turn", {"chat": chat, "text": "c4n4ry"})["result"]["text"] == "Hi."
    assert editor.request("starchat/chat/list")["result"]["chats"] == [
        {"chat": chat, "title": "T", "messages": 2, "kept": False}
    ]
    assert not (tmp_path / "home" / "history").exists()


def test_a_client_keeps_a_chat_out_of_the_history(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    editor.initialize(NEOVIM, initializationOptions={"starchat": {"model": script({"reply": "Hi."})}})
    created = editor.request("starchat/chat/create", {"kept": False})["result"]
    assert created["kept"] is False
    editor.request("starchat/chat/turn", {"chat": created["chat"], "text": "c4n4ry"})
    assert editor.request("starchat/chat/delete", {"chat": created["chat"]})["result"] == {"deleted": created["chat"]}
    assert not (tmp_path / "home" / "history").exists()


def test_a_broken_history_does_not_stop_a_chat(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    chat = begin(editor, script({"match": "first[\\s\\S]*second", "reply": "both"}, {"reply": "Hi."}))
    (tmp_path / "home" / "history").mkdir(parents=True)
    (tmp_path / "home" / "history" / "history.sqlite3").write_bytes(b"garbage" * 999)
    answer = editor.request("starchat/chat/turn", {"chat": chat, "text": "first", "token": "t"})["result"]
    assert answer["text"] == "Hi."
    assert "It is kept as" in answer["notes"][0]
    assert editor.request("starchat/chat/turn", {"chat": chat, "text": "second"})["result"]["text"] == "both"
    assert len(list((tmp_path / "home" / "history").glob("damaged-*"))) == 1


def test_what_cannot_be_done_is_refused(editor: Editor, script: Callable[..., str]) -> None:
    chat = begin(editor, script({"reply": "x"}, context_length=200))
    assert editor.request("starchat/chat/turn", {"chat": "none", "text": "x"})["error"]["code"] == -32602
    assert editor.request("starchat/chat/turn", {"chat": chat})["error"]["code"] == -32602
    assert editor.request("starchat/chat/show", {})["error"]["code"] == -32602
    long = editor.request("starchat/chat/turn", {"chat": chat, "text": "long " * 500})["error"]
    assert long["data"]["code"] == "context_length_exceeded"
    assert editor.request("starchat/chat/show", {"chat": chat})["result"]["messages"] == []


def test_shutdown_ends_a_turn(editor: Editor, script: Callable[..., str]) -> None:
    chat = begin(editor, script({"reply": "word " * 2000, "delay_ms": 10}))
    number = editor.begin("starchat/chat/turn", {"chat": chat, "text": "Go on", "token": "t"})
    editor.wait_for(lambda each: each.get("params", {}).get("value", {}).get("kind") == "delta")
    assert editor.request("shutdown")["result"] is None
    assert editor.reply(number, 5)["error"]["code"] == -32800
    editor.notify("exit")
    assert editor.process.wait(2) == 0


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)
