"""Cells of a notebook: documents of their own, edited alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.server.buffer import BUGGY, FIXED, REPLY, WHERE, Buffer, begin, run
from tests.server.editor_at_pipes import VSCODE, Editor


def cell(uri: str, text: str) -> dict[str, object]:
    return {"uri": uri, "languageId": "python", "version": 1, "text": text}


def test_a_bug_in_a_cell_is_fixed_there(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, VSCODE, script({"reply": REPLY}))
    buffer = Buffer(editor, tmp_path / "unused.py", BUGGY, "utf-16")
    buffer.uri, notebook = "vscode-notebook-cell:/a.ipynb#W1", {"uri": "file:///a.ipynb", "version": 1}
    cells = [{"kind": 2, "document": buffer.uri}]
    params = {"notebookDocument": {**notebook, "notebookType": "jupyter", "cells": cells}}
    editor.notify("notebookDocument/didOpen", {**params, "cellTextDocuments": [cell(buffer.uri, "x = 1\n")]})
    typed = {"document": {"uri": buffer.uri, "version": 2}, "changes": [{"text": BUGGY}]}
    opened = {"array": {"start": 1, "deleteCount": 0}, "didOpen": [cell("vscode-notebook-cell:/a.ipynb#W2", "y = 2\n")]}
    change = {"cells": {"structure": opened, "textContent": [typed]}}
    editor.notify("notebookDocument/didChange", {"notebookDocument": {**notebook, "version": 2}, "change": change})
    buffer.version = 2
    assert run(editor, "fix", {"uri": buffer.uri, "range": WHERE})["outcome"] == "applied"
    assert buffer.text == FIXED
    editor.notify("notebookDocument/didClose", {"notebookDocument": notebook, "cellTextDocuments": [{"uri": buffer.uri}]})
    assert run(editor, "fix", {"uri": buffer.uri, "range": WHERE})["code"] == "invalid_input"
