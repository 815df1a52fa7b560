"""Typing against edits: each is made to exactly its version, carried over, or refused; and each can be taken back."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.scale import rounds
from tests.server.buffer import BUGGY, FIXED, REPLY, WHERE, Buffer, begin, run
from tests.server.editor_at_pipes import VSCODE, Editor

INSIDE = ("    return gcd(a % b, b)", "    return gcd(a % b, b)  # typed")


def test_typing_against_edits(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, VSCODE, script({"reply": REPLY}))
    chance = random.Random(11)
    seen = set()
    for number in range(rounds(1000)):
        end = chance.choice(["\n", "\r\n", "\r"])
        buffer = Buffer(editor, tmp_path / f"numbers{number}.py", BUGGY.replace("\n", end), "utf-16")
        typed = chance.choice(["before", "behind", "inside", "nothing"])
        editor.answers["workspace/applyEdit"] = lambda params, buffer=buffer, typed=typed, end=end: race(
            buffer, typed, end, params
        )
        before = typed_text(BUGGY.replace("\n", end), typed, end)
        result = run(editor, "fix", {"uri": buffer.uri, "range": WHERE})
        seen.add((typed, result["outcome"]))
        assert result["outcome"] == ("conflict" if typed == "inside" else "applied")
        wanted = before if typed == "inside" else typed_text(FIXED.replace("\n", end), typed, end)
        assert buffer.text == wanted
        if result["outcome"] == "applied":
            editor.answers["workspace/applyEdit"] = buffer.apply
            assert run(editor, "undo", {"uri": buffer.uri})["outcome"] == "applied"
            assert buffer.text == before
    assert len(seen) == 4


def race(buffer: Buffer, typed: str, end: str, params: dict[str, Any]) -> dict[str, Any]:
    """The user types just before the edit arrives."""
    buffer.editor.answers["workspace/applyEdit"] = buffer.apply
    if typed != "nothing":
        buffer.type(typed_text(buffer.text, typed, end))
    return buffer.apply(params)


def typed_text(text: str, typed: str, end: str) -> str:
    if typed == "before":
        return f"import math{end}{text}"
    if typed == "behind":
        return f"{text}{end}print(1){end}"
    return text.replace(*INSIDE) if typed == "inside" else text


def test_undo_twice_in_a_hurry(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, VSCODE, script({"reply": REPLY}))
    first = Buffer(editor, tmp_path / "one.py", BUGGY, "utf-16")
    assert run(editor, "fix", {"uri": first.uri, "range": WHERE})["outcome"] == "applied"
    second = Buffer(editor, tmp_path / "two.py", BUGGY, "utf-16")
    assert run(editor, "fix", {"uri": second.uri, "range": WHERE})["outcome"] == "applied"

    def apply(params: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.3)
        uri = params["edit"]["documentChanges"][0]["textDocument"]["uri"]
        return next(buffer for buffer in (first, second) if buffer.uri == uri).apply(params)

    editor.answers["workspace/applyEdit"] = apply
    numbers = [editor.begin("workspace/executeCommand", {"command": "starchat.undo", "arguments": []}) for _ in "12"]
    assert [editor.reply(number)["result"]["outcome"] for number in numbers] == ["applied", "applied"]
    assert (first.text, second.text) == (BUGGY, BUGGY)
    assert run(editor, "undo")["outcome"] == "no_edit"
