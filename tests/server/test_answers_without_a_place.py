"""What becomes of an answer whose place is gone by the time it comes: nothing is touched, it is kept, and a line says why."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server.buffer import BUGGY, REPLY, WHERE, Buffer, begin, command, run
from tests.server.editor_at_pipes import EGLOT, VSCODE, Editor

SLOW = {"reply": REPLY, "prefill_ms": 600}


def asked_and(editor: Editor, name: str, argument: dict[str, Any], meanwhile: Callable[[], object]) -> dict[str, Any]:
    """The end of a command during which something happens."""
    number = editor.begin("workspace/executeCommand", command(name, argument))
    editor.wait_for(lambda each: "reading" in str(each.get("params", {}).get("value", "")))
    meanwhile()
    return editor.reply(number)["result"]


@pytest.mark.parametrize("uri", ["untitled:one", "file:///nowhere/at/all.py"])
def test_a_document_that_was_closed(editor: Editor, script: Callable[..., str], uri: str) -> None:
    begin(editor, VSCODE, script(SLOW))
    editor.open(uri, BUGGY)
    closing = {"textDocument": {"uri": uri}}
    result = asked_and(editor, "fix", {"uri": uri, "range": WHERE}, lambda: editor.notify("textDocument/didClose", closing))
    assert result["outcome"] == "no_edit"
    assert "neither open nor inside the workspace" in result["reason"]
    assert "gcd(b, a % b)" in result["text"]
    assert editor.request("workspace/textDocumentContent", {"uri": result["answer"]})["result"]["text"] == result["text"]
    assert not editor.messages("workspace/applyEdit")


def test_a_closed_file_that_was_removed(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "numbers.py"
    path.write_text(BUGGY)
    begin(editor, VSCODE, script(SLOW))
    added = {"added": [{"uri": tmp_path.as_uri(), "name": "w"}], "removed": []}
    editor.notify("workspace/didChangeWorkspaceFolders", {"event": added})
    result = asked_and(editor, "fix", {"uri": path.as_uri(), "range": WHERE}, path.unlink)
    assert result["outcome"] == "no_edit"
    assert "gcd(b, a % b)" in result["text"]
    assert not path.exists()


def test_a_folder_that_was_removed(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    begin(editor, EGLOT | {"window": {"workDoneProgress": True}}, script({"reply": "package main\n```\n", "prefill_ms": 600}))
    buffer = Buffer(editor, folder / "numbers.py", BUGGY, "utf-16")
    result = asked_and(editor, "translate", {"uri": buffer.uri, "language": "Go"}, lambda: shutil.rmtree(folder))
    assert result["outcome"] == "no_edit"
    assert "package main" in result["text"]
    assert Path(result["answer"].removeprefix("file://")).read_text() == result["text"]


def test_an_answer_that_cannot_be_written_down(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, EGLOT | {"window": {"workDoneProgress": True}}, script({"reply": "An answer."}))
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "answers").write_text("in the way")
    result = run(editor, "ask", {"question": "What?"})
    assert (result["outcome"], result["text"], "answer" in result) == ("answered", "An answer.", False)
    editor.wait_for(lambda each: "cannot be written down" in each.get("params", {}).get("message", ""))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    refused = run(editor, "fix", {"uri": buffer.uri, "range": WHERE})
    assert (refused["outcome"], refused["text"]) == ("no_edit", "An answer.")
    assert editor.request("starchat/status")["result"]["active"] == 0


def test_a_document_that_is_too_large(editor: Editor, script: Callable[..., str]) -> None:
    begin(editor, VSCODE, script({"reply": REPLY}))
    editor.open("file:///huge.py", BUGGY + "x = 1\n" * 1_500_000)
    result = run(editor, "fix", {"uri": "file:///huge.py", "range": WHERE})
    assert (result["outcome"], result["code"]) == ("failed", "invalid_input")
    assert "8,388,608" in result["reason"]
    assert editor.request("starchat/ping", {}, 5)["result"] == {"ok": True}
