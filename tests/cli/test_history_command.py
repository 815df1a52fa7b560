"""`assistant history` as a user meets it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.history import records
from assistant.history.database import history_file
from assistant.history.records import Entry
from tests.cli.conftest import PROGRAM

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture(autouse=True)
def kept(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two conversations, the second with an escape for terminals in its title and an unanswered question."""
    monkeypatch.setenv("STARCHAT_HOME", environment["STARCHAT_HOME"])
    names = ["aaaa2222", "bbbb3333"]
    for name, texts in zip(
        names, (("How do I sort?", "Use `sorted`."), ("Why\x1b]0;title\x07?", "Because.", "And?")), strict=True
    ):
        for number, text in enumerate(texts):
            records.add(name, Entry("assistant" if number % 2 else "user", text))
    return names


def test_list_search_show(run: Callable) -> None:
    lines = run("history").stdout.splitlines()
    assert [line[:8] for line in lines] == ["bbbb3333", "aaaa2222"]
    assert lines[0].endswith("   3  Why\ufffd]0;title\ufffd?")
    assert [one["id"] for one in json.loads(run("history", "list", "--json", "-n", "1").stdout)["conversations"]] == [
        "bbbb3333"
    ]
    assert "aaaa2222" in run("history", "search", "SORTED").stdout
    assert run("history", "search", "sorted", "because").stdout == "No conversation has all of these words.\n"
    shown = run("history", "show", "aaaa").stdout
    assert shown.startswith("# How do I sort?\n")
    assert shown.endswith("## You\n\nHow do I sort?\n\n## Assistant\n\nUse `sorted`.\n")
    assert json.loads(run("history", "show", "--json").stdout)["id"] == "bbbb3333"


def test_export_is_read_by_training(run: Callable, tmp_path: Path) -> None:
    from training.sources import rows

    assert run("history", "export", "-o", "rows.jsonl").returncode == 0
    read = list(rows(str(tmp_path / "rows.jsonl"), "train"))
    assert [[message["role"] for message in row.value["messages"]] for row in read if row.value] == [["user", "assistant"]] * 2
    assert [row.problem for row in read] == ["", ""]
    assert stat.S_IMODE((tmp_path / "rows.jsonl").stat().st_mode) == 0o600
    again = run("history", "export", "-o", "rows.jsonl")
    assert (again.returncode, "is there already" in again.stderr) == (3, True)
    assert run("history", "export", "aaaa", "--format", "markdown").stdout.count("# How do I sort?") == 1


def test_delete_asks_first(run: Callable) -> None:
    refused = run("history", "delete", "--all")
    assert (refused.returncode, refused.stderr) == (
        2,
        "assistant: 2 conversation(s) will be deleted for good. Agree with -y.\n",
    )
    assert run("history", "delete", "aaaa", "-y").stdout.endswith("Deleted 1 conversation(s).\n")
    assert run("history", "delete", "--older-than", "1", "-y").stdout == "Deleted 0 conversation(s).\n"
    assert run("history", "delete", "--all", "-y").stdout == "Deleted 1 conversation(s).\n"
    assert run("history").stdout == "No conversation is kept yet; `assistant chat` begins one.\n"
    for arguments, code in ((("delete",), 2), (("delete", "aaaa", "--all"), 2), (("show", "aaaa"), 3), (("show",), 3)):
        assert run("history", *arguments).returncode == code


def test_a_history_that_cannot_be_used_is_one_line(run: Callable, environment: dict[str, str], tmp_path: Path) -> None:
    path = history_file()
    good = path.read_bytes()
    path.write_bytes(b"garbage" * 999)
    for code, said in ((7, "It is kept as"), (0, "")):
        done = run("history")
        assert (done.returncode, said in done.stderr, done.stderr.count("\n")) == (code, True, code // 7)
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    path.write_bytes(good)
    path.chmod(0o400)
    path.parent.chmod(0o500)
    powerless = ("setpriv", "--bounding-set", "-dac_override", "--inh-caps", "-dac_override") if AS_ROOT else ()

    def limited(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*powerless, *PROGRAM, "history", *arguments]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    try:
        assert limited("list").stdout.count("\n") == 2  # what can be read is read
        refused = limited("delete", "--all", "-y")
        assert (refused.returncode, refused.stderr.count("\n")) == (7, 1)
        assert "read-only" in refused.stderr or "cannot be opened" in refused.stderr or "cannot be used" in refused.stderr
    finally:
        path.parent.chmod(0o700)
    assert path.read_bytes() == good
