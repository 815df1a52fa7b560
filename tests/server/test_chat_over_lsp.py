"""Chats: streamed on the client's token, remembered, stopped with their request."""

from __future__ import annotations

import time
from collections.abc import Callable

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
    assert editor.request("starchat/chat/list")["result"]["chats"] == [
        {"chat": chat, "title": "My name is Ada.", "messages": 4}
    ]
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


def test_cancelling_the_request_stops_the_model_and_keeps_what_came(editor: Editor, script: Callable[..., str]) -> None:
    chat = begin(editor, script({"reply": " ".join(map(str, range(2000))), "delay_ms": 10}))
    number = editor.begin("starchat/chat/turn", {"chat": chat, "text": "Go on", "token": "t"})
    editor.wait_for(lambda each: each.get("params", {}).get("value", {}).get("kind") == "delta")
    assert "answering" in editor.request("starchat/chat/turn", {"chat": chat, "text": "Again"})["error"]["message"]
    began = time.monotonic()
    editor.notify("$/cancelRequest", {"id": number})
    assert editor.reply(number, 5)["error"]["code"] == -32800
    assert time.monotonic() - began < 0.5
    messages = editor.request("starchat/chat/show", {"chat": chat})["result"]["messages"]
    assert messages[-1]["role"] == "assistant" and messages[-1]["content"].startswith("0")


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
