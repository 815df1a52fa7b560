"""Inline completion: quick, quiet, never more than fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from assistant.languages import PYTHON
from server.completing import place_of
from server.completions import WINDOWS, Completions
from server.documents import Documents
from server.fitting import Place, fitted, wants_block
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
    begin(editor, script({"reply": "x" * 5, "delay_ms": 100}))
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
        ("1\n    b = 2\nc = 3", "def f():\n    ", "\n", "1\n    b = 2"),
        ("\n    return 1\n\ndef g():\n    pass", "def f():", "\n", "\n    return 1"),
        ("\n  x();\n}\ny();", "if (a) {", "", "\n  x();\n}"),
        ("\n  x();\n}\n", "if (a) {", "\n}\n", "\n  x();"),
        ("    a = 1\n    b = 2\n    c = 3", "def f():\n", "\n    b = 2\n    c = 3\n    d", "    a = 1"),
        ("a\n    b", "x = 1  # (", "", "a"),
        ("b\n    c", '"""(', '\n"""', "b"),
    ],
)
def test_a_completion_is_cut_to_fit(raw: str, before: str, behind: str, wanted: str) -> None:
    assert fitted(raw, Place(URI, before, behind, PYTHON)) == wanted


def test_blocks_are_for_code() -> None:
    assert wants_block(Place(URI, "def f():\n    ", "\n", PYTHON))
    assert not wants_block(Place(URI, "def f():\n    # all of:", "\n", PYTHON))
    assert not wants_block(Place(URI, 'x = """\n', '\n"""\n', PYTHON))
    assert not wants_block(Place(URI, "x = ", "\n", PYTHON))


def test_what_is_shown_begins_at_the_same_line_while_one_types() -> None:
    documents = Documents()
    document = documents.open(URI, "python", 1, "value = compute(1)\n" * 2000 + "x")
    begins, most = set(), 0
    for line in range(300, 340):
        for offset in (0, 5):
            place = place_of(document, line, offset, WINDOWS[1])
            begins.add(line - place.before.count("\n"))
            most = max(most, len(place.before))
    assert len(begins) <= 2
    assert 500 < most <= 2 * WINDOWS[1].before
    assert place_of(document, 0, 0, WINDOWS[0]).before == ""


def test_a_slow_model_is_shown_less_and_a_quick_one_more() -> None:
    completions = Completions()
    for seconds, wanted in [(1, 0), (1, 0), *[(0.1, 0)] * 4, (0.1, 1), *[(0.1, 1)] * 4, (0.1, 2), (0.3, 2), (0.7, 1)]:
        completions.took(seconds)
        assert completions.window == WINDOWS[wanted]
