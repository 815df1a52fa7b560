"""The page for authors of clients says what the code does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

from server import failures, options
from server.app import ROUTES
from server.capabilities import Client, client_of, commands
from server.jobs import End
from server.verbs import VERBS
from tests.server.editor_at_pipes import EGLOT, NEOVIM, VSCODE

PAGE = (Path(__file__).parents[2] / "editor-clients" / "README.md").read_text(encoding="utf-8")


def rows(section: str) -> list[list[str]]:
    """The cells of the section's tables, without headings."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    table = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("|---")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table]


def test_methods() -> None:
    from_client = {row[0] for row in rows("Methods") if row[1] == "client"}
    assert from_client == {method for method, _, _ in ROUTES} | {"exit", "$/cancelRequest"}


def test_methods_of_the_server_are_those_in_its_code() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (Path(__file__).parents[2] / "server").rglob("*.py"))
    for method in (row[0] for row in rows("Methods") if row[1] == "server"):
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", method.replace("/", "_")).lower().removeprefix("$_")
        assert name in source or f'"{method}"' in source, method


def test_commands_and_outcomes() -> None:
    first = [row[0] for row in rows("Commands")]
    assert set(commands()) <= set(first)
    assert set(get_args(End)) <= set(first)
    assert {f"starchat.{name}" for name in VERBS} <= set(commands())


def test_error_codes() -> None:
    codes = {value for name, value in vars(failures).items() if name.isupper() and isinstance(value, int)}
    assert {int(row[0]) for row in rows("Errors")[1:]} == codes


def test_settings() -> None:
    assert {row[0] for row in rows("Settings")[1:]} == {f"starchat.{key}" for key in options._KEYS}


def test_capabilities() -> None:
    table = rows("Capabilities")[1:]
    assert {row[1] for row in table} == {field.name for field in fields(Client)}
    for column, capabilities in zip((4, 5, 6), (VSCODE, NEOVIM, EGLOT), strict=True):
        client = client_of(capabilities)
        for row in table:
            value = getattr(client, row[1])
            assert row[column] == (value if isinstance(value, str) else "yes" if value else "no"), row


def test_every_row_about_pygls_names_tests_that_exist() -> None:
    page = (Path(__file__).parents[2] / "docs" / "language-server.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", page)
    assert len(named) > 15
    for file, test in named:
        assert f"def {test}(" in Path(__file__).with_name(file).read_text(encoding="utf-8"), (file, test)
