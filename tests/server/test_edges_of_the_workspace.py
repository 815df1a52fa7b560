"""No URI leads an edit out of the workspace."""

from __future__ import annotations

import random
from pathlib import Path
from urllib.parse import quote

from server.files import inside, path_of

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
    for _ in range(1000):
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
