"""No URI leads an edit out of the workspace."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from server.files import inside, path_of
from tests.scale import rounds
from tests.server.buffer import BUGGY, REPLY, begin, command
from tests.server.editor_at_pipes import Editor

PARTS = ["..", ".", "%2e%2e", "%2E%2e", "..%2f", "%5c..", "a.py", "link", "x", "//", "%00", "", "host", "C:", "..;", "\\..\\"]


def test_hostile_uris(tmp_path: Path) -> None:
    workspace, outside = tmp_path / "work", tmp_path / "outside"
    for folder in (workspace, outside):
        folder.mkdir()
        (folder / "a.py").write_text("x = 1\n")
    (workspace / "link").symlink_to(outside)
    folders = (workspace.as_uri(),)
    chance = random.Random(12)
    allowed = 0
    for _ in range(rounds(5000)):
        tail = "/".join(chance.choices(PARTS, k=chance.randrange(1, 6)))
        scheme = chance.choice(["file://", "file:", "FILE://", "file://localhost", "file://host", "http://", "untitled:"])
        path = path_of(f"{scheme}{quote(str(workspace))}/{tail}")
        if path is not None and inside(path, folders):
            allowed += 1
            assert path.resolve().is_relative_to(workspace.resolve())
            assert ".." not in path.parts
    assert allowed  # or the test would prove nothing
    assert inside(workspace / "a.py", folders)
    assert not inside(workspace / "link" / "a.py", folders)
    assert not inside(outside / "a.py", folders)
    assert not inside(workspace / "a.py", ())


@pytest.mark.parametrize("creates", [True, False])
def test_hostile_uris_over_the_wire(editor: Editor, script: Callable[..., str], tmp_path: Path, creates: bool) -> None:
    workspace, outside = tmp_path / "work", tmp_path / "outside"
    for folder in (workspace, outside, workspace / "in"):
        folder.mkdir()
    for folder in (workspace, outside):
        (folder / "a.py").write_text(BUGGY)
    (workspace / "link").symlink_to(outside)
    model = script({"match": "Translate", "reply": "package main\n```\n"}, {"reply": REPLY})
    operations = ["create", "delete"] if creates else []
    capabilities = {"workspace": {"workspaceEdit": {"documentChanges": True, "resourceOperations": operations}}}
    begin(editor, capabilities | {"window": {"workDoneProgress": True}}, model)
    editor.notify(
        "workspace/didChangeWorkspaceFolders", {"event": {"added": [{"uri": workspace.as_uri(), "name": "w"}], "removed": []}}
    )
    editor.answers["workspace/applyEdit"] = lambda params: {"applied": False}
    before, chance, ends = snapshot(outside), random.Random(1212), set()
    for _ in range(rounds(5000) // 2):
        tail = "/".join(chance.choices(PARTS, k=chance.randrange(1, 5)))
        scheme = chance.choice(["file://", "file:", "file://localhost", "file://host", "untitled:"])
        uri = f"{scheme}{quote(str(workspace))}/{tail}"
        if chance.random() < 0.5:
            editor.open(uri, BUGGY)
        name = chance.choice(["translate", "fix"])
        params = command(name, {"uri": uri, "language": "Go"})
        ends.add(editor.request("workspace/executeCommand", params)["result"]["outcome"])
        editor.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    for asked in editor.messages("workspace/applyEdit"):
        for change in asked["params"]["edit"]["documentChanges"]:
            path = path_of(change.get("uri") or change["textDocument"]["uri"])
            assert path is None or change.get("kind") != "create" or path.resolve().is_relative_to(workspace.resolve())
    assert snapshot(outside) == before
    assert "failed" in ends and ends - {"failed"}  # both roads were taken


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in sorted(folder.rglob("*"))}
