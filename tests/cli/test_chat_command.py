"""`assistant chat` as a user meets it: through a pipe, and at a real terminal."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from assistant.history import records
from assistant.history.database import history_file
from tests.cli.conftest import PROGRAM

if sys.platform == "win32":
    pytest.skip("needs a POSIX terminal", allow_module_level=True)

from tests.cli.terminal_session import Terminal

MEMORY = ({"match": "My name is Ada[\\s\\S]*Who", "reply": "Ada."}, {"reply": "Hello."})
SLOW = {"reply": " ".join(map(str, range(3000))), "delay_ms": 10}


@pytest.fixture(autouse=True)
def home(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARCHAT_HOME", environment["STARCHAT_HOME"])


@pytest.fixture
def terminal(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """`terminal("chat", …)`: the program at a terminal of its own, its first prompt awaited."""
    opened: list[Terminal] = []

    def call(*arguments: str, env: dict[str, str] | None = None) -> Terminal:
        opened.append(Terminal([*PROGRAM, *arguments], {**environment, **(env or {})}, tmp_path))
        opened[-1].wait_for("Ctrl-D leaves.")
        opened[-1].wait_for("> ")
        return opened[-1]

    yield call
    for one in opened:
        one.kill()


def test_line_by_line_through_a_pipe(run: Callable, script: Callable) -> None:
    done = run("chat", "-m", script(*MEMORY), stdin="My name is Ada.\n\n  \nWho am I?\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello.\nAda.\n", "")
    (summary,) = records.listed()
    assert (summary.title, summary.messages) == ("My name is Ada.", 4)
    assert {entry.finish for entry in records.entries(summary.id)} == {"", "stop"}


def test_going_on(run: Callable, script: Callable) -> None:
    model = script(*MEMORY)
    first = json.loads(run("chat", "--json", "-m", model, "My name is Ada.").stdout)
    assert run("chat", "Hi", "-m", model).stdout == "Hello.\n"
    assert run("chat", "--resume", first["chat"][:4], "-m", model, stdin="Who am I?").stdout == "Ada.\n"
    assert run("chat", "--last", "-m", model, stdin="Who am I?").stdout == "Ada.\n"
    refused = run("chat", "--resume", "none", "-m", model)
    assert (refused.returncode, refused.stdout) == (3, "")


def test_json_lines_and_errors_among_them(run: Callable, script: Callable, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("ANSWER = 42\n")
    (tmp_path / "binary").write_bytes(b"\0\1\2")
    model = script({"match": "ANSWER = 42", "reply": "It is:\n\n```python\n42\n```"}, {"reply": "?"})
    lines = ["/file binary", "/nonsense", "/file a.py:1-1", "What is it?", "/undo", "And now?"]
    done = run("chat", "--json", "-m", model, stdin="\n".join(lines))
    heard = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [one.get("error", {}).get("code") for one in heard] == ["invalid_input", "invalid_request", None, None]
    assert list(heard[2]) == ["chat", "text", "code", "model", "usage", "finish_reason", "left_out", "notes"]
    assert (heard[2]["code"], heard[3]["text"]) == ("42\n", "?")
    assert done.returncode == 2  # of the last line that failed
    assert [entry.shown for entry in records.entries(heard[2]["chat"])] == ["And now?", "?"]


def test_mistakes_in_a_line_end_no_chat(run: Callable, script: Callable, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    lines = ("/file", "/file ~nobody-of-that-name/x", f"/file {'n' * 300}", "/file a.py", "/explain Why is it slow?")
    model = script({"match": r"(?s)x = 1.*in at most 150 words.*Why is it slow\?", "reply": "For this."}, {"reply": "no"})
    done = run("chat", "-m", model, stdin="".join(f"{line}\n" for line in (*lines, "/save ~nobody-of-that-name/x")))
    assert done.stdout.splitlines() == [
        "Nothing is attached; /file PATH attaches a file, /diff what has changed.",
        "Goes with the next message: a.py.",
        "For this.",
    ], done.stderr
    assert done.stderr.count("home of nobody") == 2 and done.stderr.count("is no name of a file") == 1


def test_a_file_that_cannot_be_shown_ends_it_before_it_begins(run: Callable, script: Callable, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\0\1\2")
    done = run("chat", "-f", "binary", "Hi", "-m", script({"reply": "x"}))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)


def test_without_history_nothing_is_written(run: Callable, script: Callable, tmp_path: Path) -> None:
    model = script({"reply": "ok"})
    for arguments, env in ((("--no-history",), {}), ((), {"STARCHAT_HISTORY": "0"})):
        assert run("chat", *arguments, "-m", model, "c4n4ry", env=env).stdout == "ok\n"
    (tmp_path / "home" / "settings.toml").write_text("history = false\n")
    assert run("chat", "-m", model, "c4n4ry").stdout == "ok\n"
    assert not history_file().parent.exists()


def test_a_chat_that_outgrows_the_window(run: Callable, script: Callable) -> None:
    model = script({"reply": "word " * 60}, context_length=1500)
    lines = "\n".join(["Say " + "long " * 20] * 6)
    done = run("chat", "-m", model, stdin=lines)
    assert done.returncode == 3
    assert "window holds 1,500" in done.stderr
    done = run("chat", "--shorten", "-m", model, stdin=lines)
    assert done.returncode == 0, done.stderr
    assert "messages no longer fit into the model's window" in done.stderr
    assert done.stdout.count("word word") > 6


def test_a_history_that_cannot_be_used_does_not_stop_a_chat(run: Callable, script: Callable) -> None:
    model = script(*MEMORY)
    history_file().parent.mkdir(parents=True)
    history_file().write_bytes(b"garbage" * 999)
    done = run("chat", "-m", model, stdin="My name is Ada.\nWho am I?")
    assert (done.returncode, done.stdout) == (0, "Hello.\nAda.\n")
    assert done.stderr.count("It is kept as") == done.stderr.count("\n") == 1
    run("chat", "-m", model, "Hi")
    with closing(sqlite3.connect(history_file(), isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        done = run("chat", "-m", model, stdin="My name is Ada.\nWho am I?")
        connection.rollback()
    assert (done.returncode, done.stdout) == (0, "Hello.\nAda.\n")
    assert done.stderr.count("in use by another program") == done.stderr.count("\n") == 1


def test_at_a_terminal(terminal: Callable[..., Terminal], script: Callable, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("ANSWER = 42\n")
    at = terminal(
        "chat", "-m", script({"match": "ANSWER = 42", "reply": "**It** is \x1b]0;title\x07`42`."}, {"reply": "- one"})
    )
    at.type("/fi\t")
    at.type("a.\t\r")
    at.wait_for("Goes with the next message: a.py.")
    at.type("What is it?\r")
    at.wait_for("It is \ufffd]0;title\ufffd42.")
    assert "\x1b]0" not in at.raw
    at.type('"""one\rtwo"""\r')
    at.wait_for("It is")
    at.wait_for("> ")
    at.type("\x1b[200~three\nfour\x1b[201~\r")  # as a terminal pastes
    at.wait_for("It is")
    at.type("/undo\r")
    at.wait_for("Taken back: three")
    at.wait_for("> ")  # before it, Ctrl-D is the terminal's, and lost
    at.type("\x04")
    assert at.wait() == 0
    (summary,) = records.listed()
    assert [entry.shown for entry in records.entries(summary.id) if entry.role == "user"] == ["What is it?", "one\ntwo"]
    lines = history_file().with_name("lines")
    assert "What is it?" in lines.read_text() and lines.stat().st_mode & 0o077 == 0


def test_ctrl_c_stops_the_answer_and_not_the_chat(terminal: Callable[..., Terminal], script: Callable, run: Callable) -> None:
    at = terminal("chat", "-m", script({"match": "fast", "reply": "quick"}, SLOW))
    at.type("count\r")
    at.wait_for("10 11")
    at.interrupt("(stopped)")
    at.wait_for("> ")
    at.interrupt("> ")
    at.type("fast\r")
    at.wait_for("quick")
    at.wait_for("> ")
    at.type("/quit\r")
    assert at.wait() == 0
    (summary,) = records.listed()
    stopped = records.entries(summary.id)[1]
    assert stopped.content.startswith("0 1 2") and stopped.finish == "interrupted"
    (host,) = json.loads(run("status", "--json").stdout)["hosts"]
    assert host["active"] == 0


@pytest.mark.parametrize("how", ["closed", "terminated"])
def test_a_terminal_that_is_closed_keeps_what_came(terminal: Callable[..., Terminal], script: Callable, how: str) -> None:
    at = terminal("chat", "-m", script(SLOW))
    at.type("count\r")
    at.wait_for("40 41")
    if how == "closed":
        at.close()
    else:
        at.process.terminate()
    assert at.wait() in (129, 143)
    (summary,) = records.listed()
    question, answer = records.entries(summary.id)
    assert question.content == "count"
    assert "40 41" in answer.content and answer.finish == "interrupted"


def test_a_killed_chat_keeps_what_was_kept(terminal: Callable[..., Terminal], script: Callable) -> None:
    at = terminal("chat", "-m", script(SLOW))
    at.type("count\r")
    at.wait_for("99 100")
    at.kill()
    (summary,) = records.listed()
    answer = records.entries(summary.id)[1]
    assert answer.content.startswith("0 1 2 3") and answer.finish == "open"


def test_an_enormous_paste_is_refused_with_numbers(terminal: Callable[..., Terminal], script: Callable) -> None:
    at = terminal("chat", "-m", script({"match": "Still", "reply": "Yes."}, {"reply": "no"}))
    at.type("\x1b[200~" + "x" * 60_000 + "\x1b[201~\r")
    at.wait_for("window holds 8,192", 60)
    at.wait_for("> ")
    at.type("Still there?\r")
    at.wait_for("Yes.")


def test_an_endless_line_through_a_pipe(run: Callable, script: Callable) -> None:
    done = run("chat", "-m", script({"reply": "Yes."}), stdin="x" * 3_000_000 + "\nStill there?")
    assert (done.returncode, done.stdout) == (3, "Yes.\n")
    assert "the model's window holds 8,192" in done.stderr


def test_a_long_chat_goes_on_with_a_model_of_a_small_window(run: Callable, script: Callable) -> None:
    lines = "\n".join(["x" * 5000] * 8)
    assert run("chat", "-m", script({"reply": "ok"}, context_length=60_000), stdin=lines).returncode == 0
    small = script({"reply": "still here"}, context_length=1000)
    refused = run("chat", "--last", "-m", small, stdin="And now?")
    assert (refused.returncode, "have its oldest messages left out" in refused.stderr) == (3, True)
    done = run("chat", "--last", "--shorten", "-m", small, stdin="And now?")
    assert (done.returncode, done.stdout) == (0, "still here\n")
    assert "The first 16 of 16 messages" in done.stderr


def test_the_user_is_asked_before_anything_is_left_out(terminal: Callable[..., Terminal], script: Callable) -> None:
    at = terminal("chat", "-m", script({"reply": "ready"}, context_length=850))
    for _ in range(2):
        at.type(f"Say {'long ' * 40}\r")
        at.wait_for("ready")
        at.wait_for("> ")
    at.type(f"Say {'long ' * 40}\r")
    for answer, then in (("n\r", "/retry asks again"), ("\r", "no longer fit")):
        at.wait_for("Leave out the oldest messages from now on? [Y/n]")
        at.type(answer)
        at.wait_for(then)
        if answer == "n\r":
            at.wait_for("> ")
            at.type("/retry\r")
    at.wait_for("ready")


def test_bytes_that_are_no_text_do_no_harm(
    environment: dict[str, str], run: Callable, script: Callable, tmp_path: Path
) -> None:
    command = [*PROGRAM, "chat", "-m", script({"echo": True})]
    done = subprocess.run(
        command, input=b"caf\xe9 \x1b[2J\x00?\n", capture_output=True, env=environment, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "caf\ufffd".encode() in done.stdout
    assert len(records.listed()) == 1
