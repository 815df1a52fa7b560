"""`assistant commit` writes a message that has the form, and commits only where the user agreed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.commit_message import message_of
from assistant.refusals import NoMessage
from assistant.staged import BUDGET, _within
from tests.cli.conftest import PROGRAM, until_asked

MESSAGE = "feat(adder): add two numbers\n\nCallers need sums.\n"


@pytest.fixture
def repository(tmp_path: Path, environment: dict[str, str]) -> Path:
    environment |= {f"GIT_{role}_{what}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment["GIT_CONFIG_GLOBAL"] = "/dev/null"
    git(tmp_path, "init", "-q")
    (tmp_path / "adder.py").write_text("def add(a, b):\n    return a + b\n")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True).stdout


def commits(folder: Path) -> int:
    return int(git(folder, "rev-list", "--all", "--count"))


def test_a_message_is_printed_and_nothing_is_committed(run: Callable, script: Callable, repository: Path) -> None:
    git(repository, "add", "adder.py")
    model = script({"match": r"\+def add", "reply": f"```\n{MESSAGE}```"})
    done = run("commit", "-m", model)
    assert (done.returncode, done.stdout) == (0, MESSAGE), done.stderr
    assert json.loads(run("commit", "--json", "-m", model).stdout)["commit"] == {"message": MESSAGE, "committed": False}
    assert commits(repository) == 0


def test_consent_commits_exactly_what_is_staged(run: Callable, script: Callable, repository: Path) -> None:
    git(repository, "add", "adder.py")
    (repository / "other.py").write_text("not staged\n")
    done = run("commit", "--write", "-m", script({"reply": MESSAGE}))
    assert done.returncode == 0, done.stderr
    assert git(repository, "log", "--format=%B").strip() == MESSAGE.strip()
    assert git(repository, "show", "--format=", "--name-only").split() == ["adder.py"]


def test_a_message_without_form_gets_one_more_try(run: Callable, script: Callable, repository: Path) -> None:
    git(repository, "add", "adder.py")
    done = run("commit", "-m", script({"match": "was refused", "reply": MESSAGE}, {"reply": "Added some stuff."}))
    assert (done.returncode, done.stdout) == (0, MESSAGE)
    done = run("commit", "--write", "-m", script({"reply": "Added some stuff."}))
    assert (done.returncode, done.stdout, commits(repository)) == (9, "", 0)
    assert "Added some stuff." in done.stderr and "type: summary" in done.stderr


def test_mistakes_are_one_line(
    run: Callable, script: Callable, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    done = run("commit", "-m", "none")
    assert (done.returncode, done.stderr) == (
        3,
        "assistant: Nothing is staged. Stage what belongs together first: git add FILE.\n",
    )
    git(repository, "add", "adder.py")
    done = run("commit", "--write", "-m", script({"reply": MESSAGE}), env={"GIT_DIR": "/nowhere"})
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    done = run("commit", "--write", "-m", script({"reply": MESSAGE}), env={"PATH": str(tmp_path_factory.mktemp("empty"))})
    assert (done.returncode, done.stderr) == (3, "assistant: There is no git on this machine. Install it.\n")
    (repository / ".git" / "hooks" / "pre-commit").write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    (repository / ".git" / "hooks" / "pre-commit").chmod(0o755)
    done = run("commit", "--write", "-m", script({"reply": MESSAGE}))
    assert (done.returncode, done.stdout) == (7, MESSAGE)
    assert "not today" in done.stderr


def test_what_is_staged_meanwhile_is_not_committed(
    run: Callable, script: Callable, repository: Path, environment: dict[str, str]
) -> None:
    git(repository, "add", "adder.py")
    model = script({"match": "warm", "reply": "ok"}, {"reply": MESSAGE, "prefill_ms": 2000})
    run("ask", "warm up", "-m", model, "--max-tokens", "1")
    process = subprocess.Popen(
        [*PROGRAM, "commit", "--write", "-m", model], cwd=repository, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until_asked(repository / "home", process)
    (repository / "late.py").write_text("x = 1\n")
    git(repository, "add", "late.py")
    shown, said = process.communicate(timeout=60)
    assert (process.returncode, shown, commits(repository)) == (9, MESSAGE, 0), said


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ("fix: stop at zero", "fix: stop at zero\n"),
        ("Here is the message:\n\n```\nfix: stop at zero.\n\nIt ran on.\n```\n", "fix: stop at zero\n\nIt ran on.\n"),
        ("**fix(core)!: stop at zero**\n- It ran on.", "fix(core)!: stop at zero\n\n- It ran on.\n"),
        ("fix: x\n\nThis message follows the form.", "fix: x\n"),
        ("fix: a\r\n\r\n" + "word " * 30, "fix: a\n\n" + "word " * 13 + "word\n" + "word " * 13 + "word\nword word\n"),
    ],
)
def test_the_message_is_found_in_a_reply(reply: str, message: str) -> None:
    found = message_of(reply)
    assert found == message
    assert all(len(line) <= 72 for line in found.splitlines())


@pytest.mark.parametrize("reply", ["", "Fixed it", "fixes: x", "fix:", f"fix: {'x' * 70}", "I cannot do that."])
def test_what_is_no_message_is_refused(reply: str) -> None:
    with pytest.raises(NoMessage):
        message_of(reply)


def test_a_long_diff_is_shown_in_fair_shares_and_what_is_missing_is_said() -> None:
    small = "diff --git a/s b/s\n+one\n"
    large = "diff --git a/l b/l\n" + "+line\n" * 10_000
    shown, left_out = _within(large + small, BUDGET)
    assert len(shown) <= BUDGET
    assert shown.endswith(small) and shown.startswith("diff --git a/l b/l\n+line\n")
    kept = shown.count("+line\n")
    assert left_out == (f"{10_000 - kept:,} lines of the diff of l are not shown to the model.",)


def test_a_staged_secret_is_not_shown(run: Callable, repository: Path) -> None:
    (repository / ".env").write_text("KEY=canary\n")
    git(repository, "add", ".env", "adder.py")
    shown = run("commit", "--show-context")
    assert "+def add" in shown.stdout and "canary" not in shown.stdout and ".env" in shown.stdout


def test_a_message_holds_nothing_that_a_terminal_obeys() -> None:
    assert message_of("feat: add\x1b]0;title\x07 it\r\n\nAll \x9b2Jof it.\r\n") == "feat: add]0;title it\n\nAll 2Jof it.\n"
