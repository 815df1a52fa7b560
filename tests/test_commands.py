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
    "diff": "D",
    "line": "1",
    "problem": "P",
    "attempt": "A",
    "problems": "T",
    "language": "L",
    "framework": "W",
    "docstring": "S",
}
FURTHER = {
    "answer": ("user with files", "form"),
    "edit": ("unchanged", "syntax", "code"),
    "file": ("syntax", "copied", "repair"),
}


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_prompts_fill_in(row: Command) -> None:
    assert row.prompt("system")
    subjects = [name for name in ("region", "question", "diff") if row.takes(name)]
    assert subjects
    for section in ("user", *(name for name in FURTHER[row.effect] if row.has(name))):
        text = row.prompt(section, **VALUES)
        assert "$" not in text
        assert all(VALUES[name] in text for name in subjects)


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_prompts_have_a_section_for_each_further_try(row: Command) -> None:
    assert row.has("unchanged") is row.has("syntax") is True or row.effect != "edit"
    assert row.has("syntax") or row.effect != "file"
    assert row.has("code") is row.keeps_code
    assert row.has("copied") is (row.makes == "tests")


@pytest.mark.parametrize("row", [row for row in COMMANDS if row.name != "plot"], ids=lambda row: row.name)
def test_every_command_has_help(row: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([row.name, "--help"])
    assert ended.value.code == 0
    assert row.name in capsys.readouterr().out


def test_values_are_not_expanded_again() -> None:
    assert "$files and ${x}" in command("ask").prompt("user", question="$files and ${x}")


def test_every_prompt_file_belongs_to_a_command() -> None:
    names = {path.name.removesuffix(".md") for path in files("assistant.prompts").iterdir() if path.name.endswith(".md")}
    assert names == {row.name for row in COMMANDS} | {"few_shot", "own"}


def test_an_unknown_command_is_named() -> None:
    with pytest.raises(UsageError, match="'fly'"):
        command("fly")
