"""Code that the user picks from an answer goes where it belongs, and is always to be confirmed; the status tells of work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.server.buffer import Buffer, begin, command, run
from tests.server.editor_at_pipes import VSCODE, Editor

TEXT = "import os\n\n\ndef add(a, b):\n    return a - b\n\n\ndef name():\n    return os.name\n"
ADD = "def add(a, b):\n    return a + b\n"


def apply(editor: Editor, buffer: Buffer, code: str, **more: Any) -> dict[str, Any]:
    return editor.request("starchat/edit/apply", {"uri": buffer.uri, "code": code, **more})["result"]


def test_a_function_takes_the_place_of_its_namesake_once_the_user_agrees(editor: Editor, tmp_path: Path) -> None:
    begin(editor, VSCODE, "no-such-model")  # none is asked
    buffer = Buffer(editor, tmp_path / "a.py", TEXT, "utf-16")
    assert apply(editor, buffer, ADD) == {"outcome": "applied", "reason": "Applied."}
    assert buffer.text == TEXT.replace("a - b", "a + b")
    assert [each["needsConfirmation"] for each in buffer.edits[0]["edit"]["changeAnnotations"].values()] == [True]


def test_a_user_who_takes_some_of_the_changes_is_not_warned(editor: Editor, tmp_path: Path) -> None:
    begin(editor, VSCODE, "no-such-model")
    buffer = Buffer(editor, tmp_path / "a.py", TEXT, "utf-16")

    def take_the_first(params: dict[str, Any]) -> dict[str, Any]:
        del params["edit"]["documentChanges"][0]["edits"][1:]
        return buffer.apply(params)

    editor.answers["workspace/applyEdit"] = take_the_first
    code = TEXT.replace("a - b", "a + b").replace("os.name", "os.name.title()")
    assert apply(editor, buffer, code) == {"outcome": "applied", "reason": "Applied as far as you took it."}
    assert buffer.text == TEXT.replace("a - b", "a + b")
    editor.answers["workspace/applyEdit"] = buffer.apply
    assert run(editor, "undo")["outcome"] == "applied"  # what was taken, and nothing else
    assert buffer.text == TEXT


def test_what_has_no_place_is_refused_with_a_reason(editor: Editor, tmp_path: Path) -> None:
    begin(editor, VSCODE, "no-such-model")
    buffer = Buffer(editor, tmp_path / "a.py", TEXT, "utf-16")
    where = {"start": {"line": 3, "character": 0}, "end": {"line": 4, "character": 0}}
    answer = apply(editor, buffer, "def add(a, b):\n    # ... existing code ...\n", range=where)
    assert answer["outcome"] == "no_edit"
    assert answer["reason"]
    assert not buffer.edits


def test_the_status_tells_of_loading_and_of_work(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, VSCODE, script({"reply": "Me."}, load_ms=600))
    editor.request("workspace/executeCommand", command("ask", {"question": "Who?"}))
    told = [each["params"] for each in editor.messages("starchat/status")]
    assert any(0 < each.get("progress", 0) <= 1 for each in told if each["state"] == "loading")
    assert [each["active"] for each in (told[0], told[-1])] == [1, 0]
    assert not any("remote" in each for each in told)
