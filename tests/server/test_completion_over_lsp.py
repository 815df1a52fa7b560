"""Inline completion: quick, quiet, never more than fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from server.completing import Place, fitted
from tests.server.editor_at_pipes import VSCODE, Editor

URI = "file:///a.py"
TEXT = "def add(a, b):\n    return \n\n\nprint(add(1, 2))\n"


def begin(editor: Editor, model: str) -> None:
    editor.answers["workspace/configuration"] = lambda params: [None]
    editor.answers["client/registerCapability"] = lambda params: None
    editor.initialize(VSCODE, initializationOptions={"model": model})
    editor.open(URI, TEXT)
    editor.wait_for(lambda each: each.get("method") == "starchat/status" and each["params"]["state"] == "ready")


def ask(line: int, character: int) -> dict[str, Any]:
    return {"textDocument": {"uri": URI}, "position": {"line": line, "character": character}, "context": {"triggerKind": 2}}


def texts(answer: dict[str, Any]) -> list[str]:
    return [item["insertText"] for item in answer["result"]["items"]]


def test_a_completion_comes_and_typing_it_asks_nobody(editor: Editor, script: Callable[..., str]) -> None:
    begin(editor, script({"match": "return", "reply": ["a + b\nmore", "other"]}))
    assert texts(editor.request("textDocument/inlineCompletion", ask(1, 11))) == ["a + b"]
    here = {"line": 1, "character": 11}
    editor.change(URI, 2, {"range": {"start": here, "end": here}, "text": "a +"})
    assert texts(editor.request("textDocument/inlineCompletion", ask(1, 14))) == [" b"]


def test_a_new_request_cancels_the_one_before(editor: Editor, script: Callable[..., str]) -> None:
    begin(editor, script({"reply": "x" * 20, "delay_ms": 100}))
    first = editor.begin("textDocument/inlineCompletion", ask(1, 11))
    second = editor.begin("textDocument/inlineCompletion", ask(0, 3))
    assert editor.reply(first, 5)["error"]["code"] == -32800
    assert "result" in editor.reply(second)


def test_a_model_that_cannot_fill_is_no_trouble(editor: Editor, script: Callable[..., str]) -> None:
    begin(editor, script({"reply": "x"}, fill=False))
    assert texts(editor.request("textDocument/inlineCompletion", ask(1, 11))) == []
    assert texts(editor.request("textDocument/inlineCompletion", ask(99, 0))) == []
    assert not editor.messages("window/showMessage")


@pytest.mark.parametrize(
    ("raw", "before", "behind", "wanted"),
    [
        ("a, b)", "f(", ")\nnext", "a, b"),
        ("a\nb", "x = ", "", "a"),
        ("    a = 1\n    return a\n", "def f():\n", "\n", "    a = 1\n    return a"),
        ("    a = 1\nprint()", "def f():\n", "\nprint()\n", "    a = 1"),
        (")", "f(", ")", ""),
        ("  ", "x = ", "", ""),
    ],
)
def test_a_completion_is_cut_to_fit(raw: str, before: str, behind: str, wanted: str) -> None:
    assert fitted(raw, Place(URI, before, behind)) == wanted
