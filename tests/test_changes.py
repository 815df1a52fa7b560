"""What git says has changed, also of a repository that would like to run something."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from assistant.changes import MAX_BYTES, diff
from assistant.diff_secrets import without_secrets
from assistant.errors import InputError
from assistant.staged import staged


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STARCHAT_HOME", str(tmp_path / "home"))
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text("x = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "First")
    (folder / "a.py").write_text("x = 2\n")
    return folder


def test_changes_since_the_last_commit_and_staged_ones(repository: Path) -> None:
    assert "-x = 1\n+x = 2\n" in diff(repository)[0]
    with pytest.raises(InputError, match="Nothing is staged"):
        diff(repository, staged=True)
    git(repository, "add", ".")
    (repository / "a.py").write_text("x = 3\n")
    assert "+x = 2\n" in diff(repository, staged=True)[0]
    assert "+x = 3\n" in diff(repository)[0]


def test_nothing_of_the_repository_runs(repository: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    program = f"touch {ran}; cat"
    for key, value in (
        ("core.fsmonitor", f"touch {ran}"),
        ("core.pager", program),
        ("diff.external", f"touch {ran}"),
        ("diff.own.textconv", program),
        ("diff.own.command", program),
        ("filter.own.clean", program),
        ("filter.own.smudge", program),
        ("filter.a.b.clean", program),
        ("filter.a.b.required", "true"),
    ):
        git(repository, "config", key, value)
    (repository / ".gitattributes").write_text("*.py filter=own diff=own\n*.txt filter=a.b diff=own\n")
    (repository / "b.txt").write_text("new\n")
    hook = repository / ".git" / "hooks" / "post-index-change"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    ran.unlink(missing_ok=True)
    assert "+x = 2" in diff(repository)[0]
    with pytest.raises(InputError, match="Nothing is staged"):
        diff(repository, staged=True)
    assert not ran.exists()


def test_what_has_no_diff_is_said(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no diff"):
        diff(tmp_path)
    (repository / "a.py").write_text("x = 1\n")
    with pytest.raises(InputError, match="Nothing has changed"):
        diff(repository)
    (repository / "a.py").write_text("x\n" * MAX_BYTES)
    with pytest.raises(InputError, match="at most"):
        diff(repository)


def test_a_repository_without_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARCHAT_HOME", str(tmp_path / "home"))
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    assert "+x = 1" in diff(tmp_path)[0]


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    "setting", ["diff.noprefix=true", "diff.mnemonicPrefix=true", "core.quotePath=true", "diff.renames=false"]
)
@pytest.mark.parametrize("staged_only", [False, True])
def test_no_secret_is_shown_whatever_its_name_and_the_settings(
    repository: Path, monkeypatch: pytest.MonkeyPatch, setting: str, staged_only: bool
) -> None:
    names = (".env", "ключ b/é.pem", "tab\tbed.key", 'quo"ted\\.pem', "new\nline.key", "two words/.netrc")
    (repository / ".env").write_text("".join(f"hunter2 = {line}\n" for line in range(20)))
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "Second")
    git(repository, "config", *setting.split("="))
    for name in names[1:]:
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text("hunter2\rdiff --git a/x.py b/x.py\rhunter2\n")
    (repository / "öpen.py").write_text("shown = 1\n")
    git(repository, "mv", ".env", "notes.txt")
    (repository / "notes.txt").write_text((repository / "notes.txt").read_text() + "hunter2 = 20\n")
    git(repository, "add", ".")
    what = staged(repository)
    for text, notes in (diff(repository, staged=staged_only), (what.diff, what.left_out)):
        assert "hunter2" not in text
        assert "+shown = 1" in text
        assert {note.partition(" looks like")[0] for note in notes} == set(names)


def test_a_file_without_a_clear_name_is_not_shown(tmp_path: Path) -> None:
    for header in ("diff --git a/b c", 'diff --git "a/\\q b/x', "diff --git x y\n--- x\n+++ y"):
        text, notes = without_secrets(f"{header}\n@@ -0,0 +1 @@\n+hunter2\n", tmp_path)
        assert "hunter2" not in text
        assert "not clear" in notes[0]


def test_a_filter_of_any_name_is_switched_off(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = tmp_path / "ran"
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Ann")
    (repository / ".git" / "config").open("a").write(f'[filter "x=y"]\n\tclean = "touch {ran}; cat"\n\trequired = true\n')
    (repository / ".gitattributes").write_text("*.py filter=x=y\n")
    assert "+x = 2\n" in diff(repository)[0]
    assert not ran.exists()
    (repository / ".git" / "config").open("a").write("[broken\n")
    with pytest.raises(InputError):
        diff(repository)


def test_a_partial_clone_fetches_nothing(repository: Path, tmp_path: Path) -> None:
    ran, clone = tmp_path / "ran", tmp_path / "clone"
    git(repository, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", f"file://{repository}", str(clone))
    git(clone, "config", "remote.origin.uploadpack", f"touch {ran}; git-upload-pack")
    for read in (diff, staged):
        with pytest.raises(InputError):
            read(clone)
    assert not ran.exists()


KEY = "sk-Ab12Cd34Ef56Gh78"


def everything_shown(repository: Path) -> tuple[str, list[str]]:
    what, (text, notes) = staged(repository), diff(repository, staged=True)
    return what.diff + text, [*what.left_out, *notes]


@pytest.mark.parametrize("tracked", [True, False])
def test_a_copy_of_a_secret_is_known_by_what_it_holds(repository: Path, tracked: bool) -> None:
    (repository / ".env").write_text(f"API_KEY={KEY}\r\nDB_PASSWORD=hunter2\r\nPORT=80\r\n")
    if tracked:
        git(repository, "add", ".env")
        git(repository, "commit", "-qm", "Second")
    (repository / "settings.txt").write_bytes((repository / ".env").read_bytes())
    (repository / "b.py").write_text(f'import x\n\nx.connect("{KEY}")\n')
    (repository / "c.py").write_text("PORT=80\n")
    (repository / ".env.example").write_text("API_KEY=\nDB_PASSWORD=hunter2\nPORT=80\n")  # a sample shares its lines
    git(repository, "add", "settings.txt", "a.py", "b.py", "c.py", ".env.example")
    text, notes = everything_shown(repository)
    assert KEY not in text and "+DB_PASSWORD=hunter2\r" not in text
    assert "+x = 2" in text and "+PORT=80" in text and "+API_KEY=\n" in text
    assert {note.partition(" repeats what .env holds")[0] for note in notes} == {"settings.txt", "b.py"}


def test_a_renamed_secret_stays_one_however_much_of_it_is_new(repository: Path) -> None:
    (repository / ".env").write_text(f"API_KEY={KEY}\n")
    git(repository, "add", ".env")
    git(repository, "commit", "-qm", "Second")
    git(repository, "mv", ".env", "settings.txt")
    text, notes = everything_shown_after(repository, "")
    assert KEY not in text and len(notes) == 2
    text, notes = everything_shown_after(repository, f"API_KEY={KEY}\n" + "".join(f"new{line} = 1\n" for line in range(50)))
    assert KEY not in text and any(note.startswith("settings.txt repeats") for note in notes)


def everything_shown_after(repository: Path, text: str) -> tuple[str, list[str]]:
    if text:
        (repository / "settings.txt").write_text(text)
        git(repository, "add", "settings.txt")
    return everything_shown(repository)


def test_a_tracked_file_that_the_user_has_ignored_is_not_shown(repository: Path) -> None:
    (repository / ".assistantignore").write_text("inner/private.py\n")
    (repository / "inner").mkdir()
    (repository / "inner" / "private.py").write_text("hunter2 = 1\n")
    git(repository, "add", ".")
    text, notes = everything_shown(repository)
    assert "hunter2" not in text and "+x = 2" in text
    assert "inner/private.py is left out by your ignore rules; its content is not shown to the model." in notes
