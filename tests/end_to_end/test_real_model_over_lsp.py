"""A real small model in an editor: its fix is inside the function or not made, its answer is readable, its completion fits."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosting.scripted_host import home
from tests.real_fix import SUMS, check_fix
from tests.server.buffer import CLIENTS, Buffer, begin, command, end_hosts, run
from tests.server.editor_at_pipes import Editor

MODEL = "qwen2.5-coder-0.5b"
TOTAL = {"start": {"line": 7, "character": 0}, "end": {"line": 7, "character": 0}}


@pytest.fixture
def editor(tmp_path: Path) -> Iterator[Editor]:
    with home() as folder:
        kept = {name: value for name, value in os.environ.items() if name in ("STARCHAT_CACHE", "PATH", "HOME")}
        editor = Editor({**kept, "STARCHAT_HOME": str(folder), "STARCHAT_IDLE_MINUTES": "2"}, tmp_path)
        editor.answers["window/showMessageRequest"] = lambda params: {"title": "Download"}
        yield editor
        editor.close()
        end_hosts(folder)


def test_a_fix_an_answer_and_a_completion(editor: Editor, tmp_path: Path) -> None:
    capabilities, encoding = CLIENTS["vscode"]
    begin(editor, capabilities, MODEL)
    buffer = Buffer(editor, tmp_path / "sums.py", SUMS, encoding)
    params = command("fix", {"uri": buffer.uri, "range": TOTAL})
    result = editor.request("workspace/executeCommand", params, 250)["result"]
    assert result["outcome"] in ("applied", "no_edit"), result
    check_fix(result["outcome"], buffer.text)
    if result["outcome"] == "applied":
        assert run(editor, "undo")["outcome"] == "applied"
        assert buffer.text == SUMS
    begun = "def add(a, b):\n    return "
    buffer.type(f"{begun}\n")
    where = {"textDocument": {"uri": buffer.uri}, "position": {"line": 1, "character": 11}, "context": {"triggerKind": 1}}
    items = editor.request("textDocument/inlineCompletion", where, 100)["result"]["items"]
    assert len(items) == 1
    assert "\n" not in items[0]["insertText"]
    ast.parse(begun + items[0]["insertText"])
