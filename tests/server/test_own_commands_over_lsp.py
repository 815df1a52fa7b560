"""A user's own command is a code action like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.server.buffer import BUGGY, FIXED, REPLY, Buffer, begin, code_actions, run
from tests.server.editor_at_pipes import VSCODE, Editor


def test_a_command_of_ones_own_is_offered_and_edits(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    folder = tmp_path / "home" / "commands"
    folder.mkdir(parents=True)
    (folder / "swap.md").write_text("---\ntitle: Swap them\neffect: edit\nlanguages: python\n---\nSwap the arguments.\n")
    (folder / "other.md").write_text("---\ntitle: Not here\neffect: edit\nlanguages: go\n---\nx\n")
    (folder / "broken.md").write_text("nothing\n")
    begin(editor, VSCODE, script({"match": "Instruction: Swap the arguments", "reply": REPLY}, {"reply": "no"}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    titles = {each["title"]: each for each in code_actions(editor, buffer.uri)}
    assert titles["StarChat: Swap them"]["kind"] == "refactor.rewrite.starchat.swap"
    assert "StarChat: Not here" not in titles
    assert run(editor, "swap", titles["StarChat: Swap them"]["command"]["arguments"][0])["outcome"] == "applied"
    assert buffer.text == FIXED
