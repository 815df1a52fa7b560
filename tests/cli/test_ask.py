"""`assistant ask` as a user meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ANSWER = "Use `reversed`:\n\n```python\nlist(reversed(x))\n```\n\nDone."


def test_piped_output_is_the_bare_text(run: Callable, script: Callable) -> None:
    done = run("ask", "How do I reverse a list?", "-m", script({"reply": ANSWER}))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{ANSWER}\n", "")


def test_json_is_exactly_one_object(run: Callable, script: Callable) -> None:
    done = run("ask", "How?", "--json", "-m", script({"reply": ANSWER}))
    shown = json.loads(done.stdout)
    assert list(shown) == ["text", "code", "model", "usage", "finish_reason"]
    assert shown["text"] == ANSWER
    assert shown["code"] == "list(reversed(x))\n"
    assert shown["finish_reason"] == "stop"
    assert shown["usage"]["completion_tokens"] == len(ANSWER.encode())
    assert done.stderr == ""


def test_text_without_code_has_no_code(run: Callable, script: Callable) -> None:
    assert json.loads(run("ask", "Hi", "--json", "-m", script({"reply": "Hello."})).stdout)["code"] is None


def test_files_and_standard_input_reach_the_model(run: Callable, script: Callable, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("ANSWER = 42\n")
    model = script(
        {"match": r"ANSWER = 42[\s\S]*piped <\|end\|> text[\s\S]*What is it\?", "reply": "seen"}, {"reply": "not seen"}
    )
    done = run("ask", "What is it?", "-f", "a.py", "-m", model, stdin="piped <|end|> text")
    assert done.stdout == "seen\n"


def test_the_answer_streams(environment: dict[str, str], script: Callable, run: Callable, tmp_path: Path) -> None:
    model = script({"reply": "abcdefghij" * 5, "delay_ms": 40})
    run("ask", "warm up", "-m", model, "--max-tokens", "1")
    process = subprocess.Popen(
        ["assistant", "ask", "Hi", "-m", model], executable=_program(), cwd=tmp_path, env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    first = process.stdout.read(1)
    came = time.monotonic()
    rest = process.stdout.read()
    assert first + rest == b"abcdefghij" * 5 + b"\n"
    assert time.monotonic() - came > 1
    assert process.wait() == 0


def test_a_cut_answer_is_said_to_be_cut(run: Callable, script: Callable) -> None:
    done = run("ask", "Hi", "-m", script({"reply": "one two three"}), "--max-tokens", "3")
    assert done.stdout == "one\n"
    assert "cut off at its token limit" in done.stderr


def test_ctrl_c_stops_the_model(environment: dict[str, str], script: Callable, run: Callable, tmp_path: Path) -> None:
    model = script({"reply": "x" * 2000, "delay_ms": 20})
    run("ask", "warm up", "-m", model, "--max-tokens", "1")
    process = subprocess.Popen(
        ["assistant", "ask", "Hi", "-m", model], executable=_program(), cwd=tmp_path, env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.read(3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 130
    assert said.decode() == "assistant: Stopped.\n"
    _wait_until_idle(run)


def test_a_closed_pipe_is_no_error(environment: dict[str, str], script: Callable, tmp_path: Path, run: Callable) -> None:
    model = script({"reply": "line\n" * 3000})
    run("ask", "warm up", "-m", model, "--max-tokens", "1")
    done = subprocess.run(
        f'"{_program()}" ask Hi -m {model} < /dev/null | head -1', shell=True, cwd=tmp_path, env=environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("line\n", "")


def test_show_context_asks_nothing(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    done = run("ask", "Why?", "-f", "a.py", "--show-context", "-m", "no-such-model")
    assert done.returncode == 0
    assert "--- system" in done.stdout
    assert "`a.py` (Python)" in done.stdout
    assert "x = 1" in done.stdout
    assert "nothing was sent" in done.stdout


def test_each_mistake_is_one_line_with_its_exit_code(run: Callable, script: Callable, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\x00\x01")
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    (tmp_path / "empty.py").write_bytes(b"")
    (tmp_path / "long.py").write_text("x = 1\n" * 3000)
    model = script({"reply": "ok"})
    for arguments, code, said in [
        (("ask",), 2, "There is no question"),
        (("ask", "  "), 2, "There is no question"),
        (("ask", "Hi", "-f", "missing.py"), 3, "missing.py does not exist"),
        (("ask", "Hi", "-f", "binary"), 3, "binary"),
        (("ask", "Hi", "-f", "latin"), 3, "UTF-8"),
        (("ask", "Hi", "-f", "empty.py"), 3, "is empty"),
        (("ask", "Hi", "-f", "long.py", "-m", model), 3, "window holds 8,192"),
        (("ask", "Hi", "-m", "no-such-model"), 5, "no-such-model"),
        (("ask", "Hi", "-m", "scripted:missing.json"), 3, "missing.json"),
        (("ask", "Hi", "-f", "two\nlines\x1b]0;title\x07"), 3, "two lines\ufffd]0;title\ufffd does not exist"),
        (("ask", "Hi", "--device", "banana"), 4, "sets device to 'banana'"),
    ]:
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (code, ""), arguments
        assert said in done.stderr, (arguments, done.stderr)
        assert done.stderr.startswith("assistant: ")
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "2.1", "warm"])
def test_a_temperature_that_is_none_is_wrong_usage(run: Callable, value: str) -> None:
    done = run("ask", "Hi", f"--temperature={value}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a number from 0 to 2" in done.stderr


def test_a_full_disk_under_our_own_folder_is_said(environment: dict[str, str], script: Callable, tmp_path: Path) -> None:
    limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", _program(), "ask", "Hi", "-m", script({"reply": "ok"})]
    done = subprocess.run(limited, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert (done.returncode, done.stdout) == (7, ""), done.stderr
    assert "cannot be written" in done.stderr
    assert done.stderr.count("\n") == 1
    left = [path.name for path in (tmp_path / "home").rglob("*") if path.suffix in (".new", ".part")]
    assert left == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_an_output_that_is_full_is_said(environment: dict[str, str], run: Callable, script: Callable) -> None:
    command = [_program(), "ask", "Hi", "-m", script({"reply": "ok"})]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (7, "assistant: The disk is full. Free some space and try again.\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_streams_that_are_closed_are_no_bug(
    environment: dict[str, str], run: Callable, script: Callable, tmp_path: Path, closed: str
) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    model = script({"match": "a.txt", "reply": "two\n```"}, {"reply": "ok"})
    for arguments in ("ask Hi", "fix --diff a.txt"):
        command = f'exec "$0" {arguments} -m {model} {closed}'
        done = subprocess.run(
            ["sh", "-c", command, _program()], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_what_is_no_utf8_in_a_question_or_a_name_does_no_harm(
    environment: dict[str, str], run: Callable, script: Callable, tmp_path: Path
) -> None:
    path = tmp_path / os.fsdecode(b"\xff.txt")
    path.write_text("one\n")
    name = bytes(path)
    model = script({"match": "rewrite|lines|bug", "reply": "two\n```"}, {"echo": True})
    program = os.fsencode(_program())
    asked = [program, b"ask", b"caf\xe9?", b"-f", name, b"--json", b"-m", model.encode()]
    done = subprocess.run(asked, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)
    fixed = [program, b"fix", name, b"--write", b"-m", model.encode()]
    done = subprocess.run(fixed, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"+++ b/\xff.txt\n" in done.stdout
    assert path.read_text() == "two\n"


def test_corrupt_settings_are_named(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "settings.toml").write_text("model = \n")
    done = run("ask", "Hi")
    assert (done.returncode, done.stdout) == (4, "")
    assert "settings.toml is not valid TOML" in done.stderr
    (tmp_path / "home" / "settings.toml").write_text("modle = 'x'\n")
    assert "unknown key 'modle'" in run("ask", "Hi").stderr


def test_flag_environment_file_in_that_order(run: Callable, script: Callable, tmp_path: Path) -> None:
    by_file, by_environment, by_flag = (script({"reply": word}) for word in ("file", "environment", "flag"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "settings.toml").write_text(f"model = '{by_file}'\n")
    assert run("ask", "Hi").stdout == "file\n"
    assert run("ask", "Hi", env={"STARCHAT_MODEL": by_environment}).stdout == "environment\n"
    assert run("ask", "Hi", "-m", by_flag, env={"STARCHAT_MODEL": by_environment}).stdout == "flag\n"


@pytest.mark.parametrize("crash", ["kill", "segv"])
def test_a_crash_costs_one_question(run: Callable, script: Callable, crash: str) -> None:
    model = script(
        {"match": "boom", "reply": "partial answer", "crash": crash, "crash_after": 7, "delay_ms": 20}, {"reply": "fine"}
    )
    done = run("ask", "boom", "-m", model)
    assert done.returncode == 8
    assert done.stdout.startswith("parti")
    assert "model host ended while it was answering" in done.stderr
    assert "Traceback" not in done.stderr
    again = run("ask", "Hi", "-m", model)
    assert (again.returncode, again.stdout) == (0, "fine\n")


def test_out_of_memory_is_a_refusal(run: Callable, script: Callable) -> None:
    done = run("ask", "Hi", "-m", script({"oom": True}))
    assert done.returncode == 5
    assert "Traceback" not in done.stderr


def test_an_unreachable_endpoint_is_said(run: Callable) -> None:
    done = run("ask", "Hi", "--endpoint", "http://127.0.0.1:9")
    assert done.returncode == 8
    assert "127.0.0.1" in done.stderr


def test_debug_shows_where_an_error_came_from(run: Callable) -> None:
    assert "Traceback" in run("ask", "Hi", "-f", "missing.py", "--debug").stderr


def _program() -> str:
    return str(Path(sys.executable).with_name("assistant"))


def _wait_until_idle(run: Callable) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        (host,) = json.loads(run("status", "--json").stdout)["hosts"]
        if host["active"] == 0:
            return
    raise AssertionError("the model went on after Ctrl-C")


def test_secrets_in_a_folder_are_left_out_and_named_ones_are_told(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("harmless = 1\n")
    (tmp_path / "src" / ".env").write_text("KEY=canary\n")
    done = run("ask", "What is this?", "-f", "src", "--show-context")
    assert "harmless" in done.stdout and "canary" not in done.stdout
    assert done.stderr == "Left out of src: 1 secret.\n"
    done = run("ask", "What is this?", "-f", "src/.env", "--show-context")
    assert "canary" in done.stdout and "looks like a secret" in done.stderr


def test_lines_of_a_file_are_shown_alone(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one = 1\ntwo = 2\nthree = 3\n")
    shown = run("ask", "What is this?", "-f", "a.py:2-3", "--show-context").stdout
    assert "`a.py:2-3` (Python):\n\n```python\ntwo = 2\nthree = 3\n```" in shown and "one" not in shown
    done = run("ask", "What is this?", "-f", "a.py:2-9", "-m", "none")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1) and "a.py has 3 lines" in done.stderr
