"""Every command has a row, a prompt file and a place in the shell."""

from __future__ import annotations

from importlib.resources import files

import pytest

from assistant.cli import main
from assistant.commands import COMMANDS, Command, command
from assistant.errors import UsageError

VALUES = {
    "question": "Q",
    "files": "F",
    "context": "C",
    "region": "R",
    "line": "1",
    "problem": "P",
    "attempt": "A",
    "problems": "T",
}


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_prompts_fill_in(row: Command) -> None:
    assert row.prompt("system")
    for section in ("user", *(("unchanged", "syntax") if row.effect == "edit" else ("user with files",))):
        text = row.prompt(section, **VALUES)
        assert "$" not in text
        assert ("R" if row.effect == "edit" else "Q") in text


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_every_command_has_help(row: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([row.name, "--help"])
    assert ended.value.code == 0
    assert row.name in capsys.readouterr().out


def test_values_are_not_expanded_again() -> None:
    assert "$files and ${x}" in command("ask").prompt("user", question="$files and ${x}")


def test_every_prompt_file_belongs_to_a_command() -> None:
    names = {path.name.removesuffix(".md") for path in files("assistant.prompts").iterdir() if path.name.endswith(".md")}
    assert names == {row.name for row in COMMANDS} | {"few_shot"}


def test_an_unknown_command_is_named() -> None:
    with pytest.raises(UsageError, match="'fly'"):
        command("fly")
