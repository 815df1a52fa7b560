"""A file is itself under every name, and a closed one that looks like a secret enters no prompt."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lsprotocol import types

from server.errands import instruction
from tests.server.buffer import BUGGY, FIXED, REPLY, WHERE, Buffer, begin, run
from tests.server.editor_at_pipes import NEOVIM, ROOT, VSCODE, Editor


def test_an_open_file_is_found_under_another_name(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    """Else it would be read from the disk, and the edit made for that text."""
    (tmp_path / "with space.py").write_text("old = True\n")
    (tmp_path / "link.py").symlink_to(tmp_path / "with space.py")
    begin(editor, VSCODE, script({"reply": REPLY}))
    buffer = Buffer(editor, tmp_path / "with space.py", BUGGY, "utf-16")
    for uri in ((tmp_path / "link.py").as_uri(), buffer.uri.replace("%20", " "), buffer.uri.replace("with", "%77ith")):
        assert run(editor, "fix", {"uri": uri, "range": WHERE})["outcome"] == "applied"
        assert buffer.text == FIXED
        assert buffer.edits[-1]["edit"]["documentChanges"][0]["textDocument"] == {
            "uri": buffer.uri,
            "version": buffer.version - 1,
        }
        buffer.type(BUGGY)


@pytest.mark.parametrize("name", [".env", "id_rsa", "ignored.py"])
def test_a_closed_file_that_is_not_to_be_read(editor: Editor, script: Callable[..., str], tmp_path: Path, name: str) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / ".gitignore").write_text("ignored.py\n")
    (folder / name).write_text("KEY = 'c4n4ry'\n")
    options = {"starchat": {"model": script({"echo": True})}}
    editor.initialize(NEOVIM, initializationOptions=options, workspaceFolders=[{"uri": folder.as_uri(), "name": "w"}])
    argument = {"uri": (folder / name).as_uri(), "question": "What?"}
    for command in ("ask", "explain", "fix", "edit"):
        result = run(editor, command, argument)
        assert (result["outcome"], result["code"]) == ("failed", "invalid_input")
        assert "Open it" in result["reason"]
        assert "c4n4ry" not in str(result)
    editor.open(argument["uri"], "KEY = 'c4n4ry'\n")
    assert "c4n4ry" in run(editor, "ask", argument)["text"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("    # ai: why so?\n", "why so?"),
        ("// AI:make it quick\r\n", "make it quick"),
        ("/* ai: shorten */", "shorten"),
        ("<!-- ai: shorten -->\n", "shorten"),
        ("  * ai: name it\n", "name it"),
        ("-- ai: as a join", "as a join"),
        ("# ai:\n", ""),
        ("x = 1  # ai: not alone in its line\n", ""),
        ("# maid: no\n", ""),
        ("# ai: a" + " " * 50_000 + "b\n", "a" + " " * 50_000 + "b"),
    ],
)
def test_words_in_a_comment(line: str, words: str) -> None:
    began = time.process_time()
    assert instruction(["\n", line], types.Range(types.Position(1, 0), types.Position(1, 0))) == words
    assert time.process_time() - began < 1


def test_a_client_that_cannot_ask_has_not_agreed(editor: Editor) -> None:
    editor.answers["window/showMessageRequest"] = lambda params: ValueError("no such method")
    editor.initialize(NEOVIM, initializationOptions={"starchat": {"model": "qwen2.5-coder-1.5b"}})
    editor.answers["workspace/configuration"] = lambda params: [None]
    result = run(editor, "ask", {"question": "What?"})
    assert (result["outcome"], result["code"]) == ("failed", "consent_needed"), result


def test_who_starts_it_by_hand_is_told_what_it_waits_for(environment: dict[str, str], tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-m", "server"]
    process = subprocess.Popen(
        command, stdin=theirs, stderr=subprocess.PIPE, cwd=tmp_path, env={**environment, "PYTHONPATH": str(ROOT)}
    )
    assert process.stderr is not None
    said = process.stderr.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert b"waiting for an editor" in said
    assert b"Traceback" not in process.stderr.read()
    os.close(ours)
    os.close(theirs)
