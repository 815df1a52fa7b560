"""The copy that a check runs on: everything of the project's own, and nothing else."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant import project_copy
from assistant.errors import InputError, StorageError
from assistant.project_copy import Project, copy_project, project_of


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name in (
        "src/a.py",
        "tests/test_a.py",
        ".git/config",
        "node_modules/x/index.js",
        ".venv/bin/python",
        "a/__pycache__/b.pyc",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    for name in (".env", ".env.local", "server.pem", "id_rsa", ".npmrc"):
        (root / name).write_text("secret")
    os.mkfifo(root / "pipe")
    (root / "build").mkdir()
    (root / "build" / "made").write_text("made")
    (root / ".gitignore").write_text("build/\n*.log\n.venv\n")
    (root / "a" / "today.log").write_text("noise")
    (root / "link").symlink_to("src/a.py")
    (root / "loop").symlink_to("..")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    return root


def test_the_copy_holds_what_is_the_projects_own(project: Path, tmp_path: Path) -> None:
    copy = copy_project(Project(project, project), tmp_path / "copy")
    shown = {path.relative_to(copy.root).as_posix() for path in copy.root.rglob("*")}
    assert {"src/a.py", "tests/test_a.py", "link", "loop", "run.sh"} <= shown
    assert not any(
        name.startswith((".git/", ".env", "server.pem", "id_rsa", ".npmrc", "pipe", "build", "a/today")) or ".pyc" in name
        for name in shown
    )
    assert (copy.root / "node_modules").readlink() == project / "node_modules"
    assert set(copy.linked) == {project / "node_modules", project / ".venv"}
    assert (copy.root / "link").readlink() == Path("src/a.py")
    assert os.access(copy.root / "run.sh", os.X_OK)


@pytest.fixture
def as_somebody() -> Iterator[Path]:
    """A folder of the user of this process, who is not the superuser meanwhile: to that one nothing is forbidden."""
    before = os.geteuid()
    folder = Path(tempfile.mkdtemp(prefix="copy-"))
    if before == 0:
        os.chown(folder, 65534, -1)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(before)
        shutil.rmtree(folder)


def test_what_cannot_be_read_is_left_out_and_named(as_somebody: Path) -> None:
    root = as_somebody / "project"
    (root / "closed").mkdir(parents=True)
    for name in ("a.py", "shut.db", "closed/b.py"):
        (root / name).write_text(name)
    (root / "shut.db").chmod(0)
    (root / "closed").chmod(0)
    copy = copy_project(Project(root, root), as_somebody / "copy")
    assert sorted(copy.unreadable) == ["closed", "shut.db"]
    assert (copy.root / "a.py").read_text() == "a.py" and not (copy.root / "shut.db").exists()
    root.chmod(0)
    with pytest.raises(StorageError, match="cannot be copied"):
        copy_project(Project(root, root), as_somebody / "other")


def test_a_project_that_is_too_large_says_so(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in (("MOST_FILES", 2), ("MOST_BYTES", 10)):
        with monkeypatch.context() as patch, pytest.raises(InputError, match="too large"):
            patch.setattr(project_copy, name, limit)
            copy_project(Project(project, project), tmp_path / f"copy {name}")


def test_where_a_project_begins(project: Path, tmp_path: Path) -> None:
    file = project / "src" / "a.py"
    assert project_of(file, tmp_path) == Project(tmp_path, tmp_path)
    assert project_of(file, tmp_path / "elsewhere") == Project(project, project)
    assert project_of(file, project / "tests") == Project(project, project / "tests")
    alone = tmp_path / "alone" / "a.py"
    alone.parent.mkdir()
    alone.touch()
    assert project_of(alone, alone.parent) == Project(alone.parent, alone.parent)
    assert project_of(alone, project) == Project(alone.parent, alone.parent)


def test_a_link_opens_nothing_outside_but_a_virtual_environment(project: Path, tmp_path: Path) -> None:
    keys, environment, inside = tmp_path / "keys", tmp_path / "environment", project / "inner"
    for folder in (keys, environment, inside):
        folder.mkdir()
    (environment / "pyvenv.cfg").touch()
    for name, goal in (("venv", keys), (".tox", environment), ("site-packages", keys)):
        (inside / name).symlink_to(goal)
    (inside / ".venv").symlink_to(environment)
    (inside / "node_modules").symlink_to(project / "src")
    copy = copy_project(Project(project, project), tmp_path / "copy")
    assert {path.name for path in (copy.root / "inner").iterdir()} == {".venv", "node_modules"}
    assert keys not in copy.linked
    assert {environment, project / "src"} <= set(copy.linked)
