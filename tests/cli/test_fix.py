"""`assistant fix` as a user meets it: the right change, nothing but it, or nothing at all."""

from __future__ import annotations

import json
import os
import select
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import until_asked

BUGGY = '''"""Numbers."""

import math


def gcd(a, b):
    if b == 0:
        return a
    return gcd(a % b, b)


def other(x):
    return math.sqrt(x)
'''
FIXED = BUGGY.replace("gcd(a % b, b)", "gcd(b, a % b)")
REPLY = "def gcd(a, b):\n    if b == 0:\n        return a\n    return gcd(b, a % b)\n```"
SAME = REPLY.replace("gcd(b, a % b)", "gcd(a % b, b)")


PROGRAM = str(Path(sys.executable).with_name("assistant"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.py"
    path.write_text(BUGGY)
    return path


def test_write_changes_exactly_the_line(run: Callable, script: Callable, file: Path) -> None:
    done = run("fix", "numbers.py:6-9", "--write", "-m", script({"reply": REPLY}))
    assert done.returncode == 0
    assert file.read_text() == FIXED
    assert "-    return gcd(a % b, b)\n+    return gcd(b, a % b)\n" in done.stdout
    assert done.stdout.startswith("--- a/numbers.py\n+++ b/numbers.py\n")
    assert "Changed numbers.py" in done.stderr
    assert sorted(path.name for path in file.parent.iterdir()) == ["home", "numbers.py", "script0.json"]


def test_what_the_model_nearly_wrote_is_tried_where_it_changes_nothing(run: Callable, script: Callable, file: Path) -> None:
    model = script(
        {"match": r"return gcd\(b$", "reply": ", a % b)\n```"},
        {"match": r"def gcd$", "reply": SAME.removeprefix("def gcd"), "hesitates": {"gcd(": "b", "if ": "a"}},
        {"reply": "It was asked in another way."},
    )
    done = run("fix", "numbers.py:6-9", "--write", "-m", model)
    assert (done.returncode, file.read_text()) == (0, FIXED), done.stderr
    assert "Looking where it hesitated" in done.stderr and "nearly wrote instead (37 %)" in done.stderr


def test_what_it_nearly_wrote_is_the_last_that_is_tried(run: Callable, script: Callable, file: Path) -> None:
    model = script(
        {"match": r"return gcd\(b$", "reply": "(\n```"},
        {"match": r"def gcd$", "reply": SAME.removeprefix("def gcd"), "hesitates": {"gcd(": "b"}},
        {"reply": REPLY},
    )
    done = run("fix", "numbers.py:6-9", "--write", "-m", model)
    assert (done.returncode, file.read_text()) == (9, BUGGY)
    assert "found nothing to change, in 2 tries" in done.stderr


def test_a_model_that_hesitates_nowhere_is_asked_to_explain(run: Callable, script: Callable, file: Path) -> None:
    model = script(
        {"match": "saw nothing wrong", "reply": f"The arguments are swapped.\n\n```python\n{REPLY}"},
        {"match": "def gcd$", "reply": SAME.removeprefix("def gcd")},
    )
    assert run("fix", "numbers.py:6-9", "--write", "-m", model).returncode == 0
    assert file.read_text() == FIXED


def test_a_fix_documents_nothing(run: Callable, script: Callable, file: Path) -> None:
    documented = REPLY.replace("b):\n", 'b):\n    """The greatest\n\n    common divisor.\n    """\n\n')
    assert run("fix", "numbers.py:6-9", "--write", "-m", script({"reply": documented})).returncode == 0
    assert file.read_text() == FIXED


def test_one_line_means_the_function_around_it(run: Callable, script: Callable, file: Path) -> None:
    shown = run("fix", "numbers.py:8", "--show-context").stdout
    assert "lines 6 to 9:" in shown
    assert run("fix", "numbers.py:8", "-y", "-m", script({"reply": REPLY})).returncode == 0
    assert file.read_text() == FIXED


@pytest.mark.parametrize("options", [("--diff",), ("--diff", "-y"), (), ("--json",)])
def test_nothing_is_written_without_consent(run: Callable, script: Callable, file: Path, options: tuple[str, ...]) -> None:
    done = run("fix", "numbers.py:6-9", *options, "-m", script({"reply": REPLY}))
    assert done.returncode == 0
    assert file.read_text() == BUGGY
    assert "gcd(b, a % b)" in done.stdout


def test_json_holds_the_edit(run: Callable, script: Callable, file: Path) -> None:
    done = run("fix", "numbers.py:6-9", "--json", "--write", "-m", script({"reply": REPLY}))
    shown = json.loads(done.stdout)
    assert list(shown) == ["text", "code", "model", "usage", "finish_reason", "edit"]
    assert shown["edit"]["applied"] is True
    assert shown["edit"]["diff"].startswith("--- a/numbers.py")
    assert file.read_text() == FIXED


def test_a_read_only_file_is_refused_before_the_model_is_asked(run: Callable, script: Callable, file: Path) -> None:
    file.chmod(0o444)
    done = run("fix", "numbers.py:6-9", "--json", "--write", "-m", "no-such-model")
    assert (done.returncode, done.stdout) == (7, "")
    assert "read-only" in done.stderr
    assert run("fix", "numbers.py:6-9", "--diff", "-m", script({"reply": REPLY})).returncode == 0
    assert file.read_text() == BUGGY


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        ("n\n", 0, "Nothing was changed."),
        ("\x04", 0, "\r\nassistant: Nothing was changed."),
        ("\x03", 130, "Stopped."),
        ("y\n", 0, "Changed numbers.py."),
    ],
)
def test_the_question_before_a_change(
    environment: dict[str, str], run: Callable, script: Callable, file: Path, typed: str, code: int, said: str
) -> None:
    pty = pytest.importorskip("pty")
    model = script({"reply": REPLY})
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(file.parent)
        os.execve(PROGRAM, [PROGRAM, "fix", "numbers.py:6-9", "-m", model], environment)
    shown = _read(terminal, "[Y/n] ")
    assert "gcd(b, a % b)" in shown
    assert said in _typed(terminal, typed)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code
    os.close(terminal)
    assert file.read_text() == (FIXED if said.startswith("Changed") else BUGGY)


@pytest.mark.parametrize(
    ("typed", "changed"),
    [("yny", "ac"), ("nyn", "b"), ("a", "abc"), ("na", "bc"), ("yq", "a"), ("yye", ""), ("?nnn", ""), ("yy\x04", "")],
)
def test_parts_of_a_change_are_taken_one_by_one(
    environment: dict[str, str], run: Callable, script: Callable, tmp_path: Path, typed: str, changed: str
) -> None:
    pty = pytest.importorskip("pty")
    lines = [f"{name} = {number}\n" for name in "abc" for number in range(9)]
    path = tmp_path / "values.py"
    path.write_text("".join(lines))
    wanted = [line.replace("= 4", "= 44") for line in lines]
    model = script({"reply": f"{''.join(wanted)}```"})
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execve(PROGRAM, [PROGRAM, "fix", "values.py", "-m", model], environment)
    for key in typed:
        _read(terminal, "/?] ")
        os.write(terminal, key.encode() if key == "\x04" else f"{key}\n".encode())
    said = _read(terminal, "")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)
    assert path.read_text() == "".join(new if old[0] in changed else old for old, new in zip(lines, wanted, strict=True))
    assert ("Nothing was changed." in said) is (not changed)


def test_an_unchanged_answer_gets_one_more_try(run: Callable, script: Callable, file: Path) -> None:
    explained = f"The arguments are swapped.\n\n```python\n{REPLY}\nAnd so on, at length."
    model = script({"match": "saw nothing wrong", "reply": explained}, {"reply": SAME})
    done = run("fix", "numbers.py:6-9", "--write", "-m", model)
    assert done.returncode == 0
    assert file.read_text() == FIXED
    assert "once more" in done.stderr


def test_no_change_is_never_called_a_success(run: Callable, script: Callable, file: Path) -> None:
    done = run(
        "fix",
        "numbers.py:6-9",
        "--write",
        "-m",
        script({"match": "saw nothing", "reply": f"```python\n{SAME}"}, {"reply": SAME}),
    )
    assert done.returncode == 9
    assert file.read_text() == BUGGY
    assert "found nothing to change, in 2 tries" in done.stderr


def test_an_answer_that_does_not_parse_is_shown_its_error(run: Callable, script: Callable, file: Path) -> None:
    broken = REPLY.replace("if b == 0:", "if b == 0")
    model = script({"match": "does not parse", "reply": REPLY}, {"reply": broken})
    done = run("fix", "numbers.py:6-9", "--write", "-m", model)
    assert (done.returncode, file.read_text()) == (0, FIXED)
    always = run("fix", "numbers.py:6-9", "--write", "-m", script({"reply": broken}))
    assert always.returncode == 9
    assert file.read_text() == FIXED
    assert "syntax" in always.stderr


def test_an_answer_that_forgets_a_name_is_told_so(run: Callable, script: Callable, file: Path) -> None:
    forgetful = REPLY.replace("gcd(b, a % b)", "greatest(b, a % b)")
    model = script({"match": "uses `greatest` without defining it", "reply": REPLY}, {"reply": forgetful})
    done = run("fix", "numbers.py:6-9", "--write", "-m", model)
    assert (done.returncode, file.read_text()) == (0, FIXED)
    always = run("fix", "numbers.py:6-9", "--write", "-m", script({"reply": forgetful}))
    assert (always.returncode, file.read_text()) == (9, FIXED)


def test_what_looks_wrong_is_told_to_the_model(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "loop.py").write_text("def f(x):\n    seen = set()\n    if x in seen:\n        return 1\n    return 2\n")
    shown = run("fix", "loop.py", "--show-context").stdout
    assert "Tools report:\n- `seen` starts empty and is looked at, but nothing is ever put into it." in shown


@pytest.mark.parametrize(
    ("reply", "keys"),
    [
        ("I am sorry, I cannot do that.\n```", {}),
        ("def gcd(a, b):\n    # ... existing code ...\n```", {}),
        (REPLY.removesuffix("\n```"), {"reason": "length"}),
        ("def gcd(a, b):\n    if b", {"reason": "length"}),
        ("", {}),
        ("function gcd(a, b) { return b ? gcd(b, a % b) : a }\n```", {}),
    ],
)
def test_what_is_no_edit_is_refused_and_kept(run: Callable, script: Callable, file: Path, reply: str, keys: dict) -> None:
    done = run("fix", "numbers.py:6-9", "--write", "-m", script({"reply": reply, **keys}))
    assert done.returncode == 9
    assert done.stdout == ""
    assert file.read_text() == BUGGY
    assert reply.strip("`\n") in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (BUGGY.replace("\n", "\r\n").encode(), FIXED.replace("\n", "\r\n").encode()),
        (b"\xef\xbb\xbf" + BUGGY.encode(), b"\xef\xbb\xbf" + FIXED.encode()),
        (BUGGY.replace("    ", "\t").encode(), FIXED.replace("    ", "\t").encode()),
        (
            ("# coding: latin-1\n# é\n" + BUGGY[15:]).encode("latin-1"),
            ("# coding: latin-1\n# é\n" + FIXED[15:]).encode("latin-1"),
        ),
        (BUGGY.encode("utf-16"), FIXED.encode("utf-16")),
    ],
)
def test_line_ends_marks_tabs_and_encodings_survive(
    run: Callable, script: Callable, file: Path, raw: bytes, wanted: bytes
) -> None:
    file.write_bytes(raw)
    file.chmod(0o750)
    done = run("fix", "numbers.py:8", "--write", "-m", script({"reply": REPLY}))
    assert done.returncode == 0, done.stderr
    assert file.read_bytes() == wanted
    assert stat.S_IMODE(file.stat().st_mode) == 0o750


@pytest.mark.parametrize(
    ("saved", "code", "wanted"),
    [
        (f"# mine\n{BUGGY}# and mine\n", 0, f"# mine\n{FIXED}# and mine\n"),
        (BUGGY.replace("b == 0", "not b"), 9, BUGGY.replace("b == 0", "not b")),
    ],
    ids=["beside the region", "inside it"],
)
def test_what_was_saved_meanwhile_is_kept(
    run: Callable, script: Callable, file: Path, environment: dict[str, str], saved: str, code: int, wanted: str
) -> None:
    model = script({"reply": REPLY, "delay_ms": 12})  # a second for all of it
    run("ask", "warm up", "-m", model, "--max-tokens", "1")
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("assistant")), "fix", "numbers.py:6-9", "--json", "--write", "-m", model],
        cwd=file.parent, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until_asked(file.parent / "home", process)
    file.write_text(saved)
    shown, said = process.communicate(timeout=30)
    assert process.returncode == code, said
    assert json.loads(shown)["edit"]["applied"] is (code == 0)  # and the answer is kept either way
    assert file.read_text() == wanted


def test_each_mistake_is_one_line_with_its_exit_code(run: Callable, script: Callable, file: Path) -> None:
    (file.parent / "big.py").write_text("def f():\n" + "    x = 1\n" * 1500)
    locked = file.parent / "locked.py"
    locked.write_text(BUGGY)
    locked.chmod(0o444)
    small = script({"reply": REPLY}, context_length=8192)
    for arguments, code, said in [
        (("missing.py",), 3, "missing.py does not exist"),
        (("numbers.py:1-99",), 3, "has 13 lines"),
        (("numbers.py:9-6",), 2, "makes no sense"),
        (("numbers.py:0",), 2, "makes no sense"),
        (("big.py", "-m", small), 3, "window holds 8,192"),
        (("locked.py:6-9", "--write", "-m", small), 7, "read-only"),
    ]:
        done = run("fix", *arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert said in done.stderr, (arguments, done.stderr)
        assert "Traceback" not in done.stderr
        assert done.stderr.count("\n") == 1
    assert locked.read_text() == BUGGY


TRACEBACK = """Traceback (most recent call last):
  File "numbers.py", line 20, in <module>
    gcd(4, 6)
  File "numbers.py", line 9, in gcd
    return gcd(a % b, b)
RecursionError: maximum recursion depth exceeded
"""


@pytest.mark.parametrize("target", [(), ("numbers.py",)])
def test_a_traceback_picks_file_and_lines_and_is_shown(
    run: Callable, script: Callable, file: Path, target: tuple[str, ...]
) -> None:
    model = script({"match": "(?s)lines 6 to 9:.*Tools report:\n- RecursionError: maximum.*line 9", "reply": REPLY})
    done = run("fix", *target, "--write", "-m", model, stdin=TRACEBACK)
    assert (done.returncode, file.read_text()) == (0, FIXED), done.stderr
    assert "From the report: numbers.py, lines 6 to 9: RecursionError" in done.stderr
    explained = run("explain", *target, "--show-context", stdin=TRACEBACK).stdout
    assert "- RecursionError: maximum recursion depth exceeded\n- it was raised in line 9" in explained


def test_without_a_file_a_report_must_name_one(run: Callable, file: Path) -> None:
    for stdin, code, said in [
        ("", 2, "pytest 2>&1 | assistant fix"),
        ("all is well\n", 2, "not said which file"),
        (TRACEBACK.replace("numbers", "/usr/lib/numbers"), 3, "names no file of this folder"),
    ]:
        done = run("fix", "-m", "none", stdin=stdin)
        assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
        assert said in done.stderr


def test_a_pipe_that_stays_open_is_told_of(environment: dict[str, str], file: Path) -> None:
    command = [PROGRAM, "fix", "numbers.py", "--show-context"]
    process = subprocess.Popen(
        command,
        cwd=file.parent,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("Waiting for standard input")
    shown, _ = process.communicate(TRACEBACK, timeout=30)
    assert process.returncode == 0 and "RecursionError" in shown


def test_a_name_with_a_colon_is_a_name(run: Callable, script: Callable, tmp_path: Path) -> None:
    odd = tmp_path / "odd:6"
    odd.write_text("one\ntwo\n")
    assert run("fix", "odd:6", "--write", "-m", script({"reply": "one\n2\n```"})).returncode == 0
    assert odd.read_text() == "one\n2\n"


def test_a_link_is_followed(run: Callable, script: Callable, file: Path) -> None:
    link = file.parent / "link.py"
    link.symlink_to(file)
    assert run("fix", "link.py:6-9", "--write", "-m", script({"reply": REPLY})).returncode == 0
    assert link.is_symlink()
    assert file.read_text() == FIXED


def _typed(terminal: int, keys: str) -> str:
    """What the terminal shows after these keys, up to its end.

    Ctrl-C is pressed again while nothing happens, as a person would: between the prompt and its read Python forgets the first.
    """
    os.write(terminal, keys.encode())
    return _read(terminal, "", again=keys if keys == "\x03" else "")


def _read(terminal: int, end: str, again: str = "") -> str:
    """What the terminal shows up to `end`, or all of it; the keys `again` are pressed whenever it is silent for long."""
    shown = ""
    while not end or end not in shown:
        while again and not select.select([terminal], [], [], 2)[0]:
            os.write(terminal, again.encode())
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # Linux's way to say that the other side is closed
            return shown
        if not chunk:
            return shown
        shown += chunk.decode(errors="replace")
    return shown
