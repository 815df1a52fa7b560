"""`assistant paths`, `models du` and `purge`: all of ours is shown and can be erased, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def everything(run: Callable, script: Callable, environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """A machine that was used: a chat, a host's log, a model, settings, a command; and files of somebody else."""
    environment["STARCHAT_CACHE"] = str(tmp_path / "cache")
    run("chat", "-m", script({"reply": "Hello."}), "Hi")
    home, models = tmp_path / "home", tmp_path / "cache" / "models"
    (home / "settings.toml").write_text("threads = 1\n")
    (home / "commands").mkdir()
    (home / "commands" / "mine.md").write_text("x")
    (home / "theirs.txt").write_text("not ours")
    for name in ("smollm2-135m", "someone--else", "somebody"):
        (models / name).mkdir(parents=True)
        (models / name / "weights").write_bytes(b"x" * 5000)
    (models / "someone--else" / "receipt.json").write_text("{}")
    (models / "smollm2-135m" / "link").symlink_to(tmp_path / "precious")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("keep me")
    return environment


def test_paths_shows_what_there_is(everything: dict[str, str], run: Callable, tmp_path: Path) -> None:
    places = {place["path"]: place for place in json.loads(run("paths", "--json").stdout)["places"]}
    for name in ("home/history", "home/hosts", "home/settings.toml", "cache/models/smollm2-135m", "cache/models/someone--else"):
        assert places[str(tmp_path / name)]["bytes"] > 0, name
    assert not any("somebody" in path or "theirs" in path for path in places)
    text = run("paths").stdout
    assert str(tmp_path / "home" / "history") in text and "conversations" in text
    usage = run("models", "du").stdout
    assert "smollm2-135m" in usage and "in all" in usage


def test_purge_shows_asks_and_waits_for_hosts(everything: dict[str, str], run: Callable, tmp_path: Path) -> None:
    asked = run("purge", "--history")
    assert asked.returncode == 2 and "Agree with -y" in asked.stderr and str(tmp_path / "home" / "history") in asked.stdout
    assert run("purge").returncode == run("purge", "-y").returncode == 2
    refused = run("purge", "--history", "-y")
    assert refused.returncode == 2 and "A model host is running" in refused.stderr
    assert (tmp_path / "home" / "history" / "history.sqlite3").exists()
    done = run("purge", "--history", "-y", "--stop")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "home" / "history").exists()
    assert json.loads(run("status", "--json").stdout)["hosts"] == []
    assert (tmp_path / "home" / "settings.toml").exists()
    assert run("purge", "--history", "-y").stdout == "There is nothing of that kind.\n"


def test_purge_of_all_leaves_what_is_not_ours(everything: dict[str, str], run: Callable, tmp_path: Path) -> None:
    done = run("purge", "--all", "-y", "--stop")
    assert done.returncode == 0, done.stderr
    left = sorted(path.relative_to(tmp_path).as_posix() for root in ("home", "cache") for path in (tmp_path / root).rglob("*"))
    assert left == ["cache/models", "cache/models/somebody", "cache/models/somebody/weights", "home/theirs.txt"]
    assert (tmp_path / "precious" / "file").read_text() == "keep me"


def test_a_folder_that_is_a_link_is_not_followed(everything: dict[str, str], run: Callable, tmp_path: Path) -> None:
    run("stop", "--all")
    (tmp_path / "home" / "answers").symlink_to(tmp_path / "precious")
    assert run("purge", "--history", "-y").returncode == 0
    assert (tmp_path / "precious" / "file").read_text() == "keep me"
    assert not (tmp_path / "home" / "answers").is_symlink()
