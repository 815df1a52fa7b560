"""The manifest of the VS Code client agrees with the server, and gives a folder that is opened no power."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from assistant.commands import COMMANDS
from server import options
from server.capabilities import OWN_COMMANDS

CLIENT = Path(__file__).parents[2] / "editor-clients" / "vscode"
MANIFEST: dict[str, Any] = json.loads((CLIENT / "package.json").read_text(encoding="utf-8"))
SETTINGS = MANIFEST["contributes"]["configuration"]["properties"]
HARMLESS = {"starchat.edits.confirm", "starchat.translate.targets", "starchat.completion.enabled"}
"""Settings that a workspace may have of its own: none says what is run, or where text goes."""


def test_every_command_of_the_server_is_in_the_palette() -> None:
    prefix = "starchat.editor."
    offered = {each["command"].removeprefix(prefix) for each in MANIFEST["contributes"]["commands"]}
    assert {row.name for row in COMMANDS} | set(OWN_COMMANDS) <= offered


def test_what_a_command_needs_is_asked_for() -> None:
    table = (CLIENT / "src" / "argument.ts").read_text().split("const ASKED")[1].split("};")[0]
    asked = set(re.findall(r"^  (\w+):", table, re.MULTILINE))
    assert asked == {row.name for row in COMMANDS if row.takes("question") or row.makes == "translation"}


def test_every_setting_of_the_server_is_there_with_a_description() -> None:
    assert {f"starchat.{key}" for key in options._KEYS} <= set(SETTINGS)
    for key, setting in SETTINGS.items():
        assert setting.get("description") or setting.get("markdownDescription"), key


@pytest.mark.parametrize("key", sorted(set(SETTINGS) - HARMLESS))
def test_a_workspace_cannot_say_what_runs_or_where_text_goes(key: str) -> None:
    assert SETTINGS[key]["scope"] == "machine"


def test_it_runs_beside_the_files_and_depends_on_no_other_extension() -> None:
    assert MANIFEST["extensionKind"] == ["workspace"]
    assert MANIFEST["capabilities"]["untrustedWorkspaces"]["supported"] == "limited"
    assert not MANIFEST.get("extensionDependencies")
    assert list(MANIFEST["dependencies"]) == ["vscode-languageclient"]


def test_its_packages_are_exact_and_name_no_registry() -> None:
    for version in (MANIFEST["dependencies"] | MANIFEST["devDependencies"]).values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert '"resolved"' not in (CLIENT / "package-lock.json").read_text()


def test_every_command_of_a_menu_or_key_is_declared() -> None:
    contributes = MANIFEST["contributes"]
    declared = {each["command"] for each in contributes["commands"]}
    keys = {command for key in contributes["keybindings"] for command in key.get("args", {}).get("commands", [key["command"]])}
    menus = {entry["command"] for menu in contributes["menus"].values() for entry in menu if "command" in entry}
    assert keys | menus <= declared
