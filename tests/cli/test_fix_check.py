"""`assistant fix --check` as a user meets it: real checks in the real sandbox, and a model that plays a script."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant import sandbox

pytestmark = pytest.mark.skipif(bool(sandbox.unavailable()), reason=f"no cage: {sandbox.unavailable()}")

BUGGY = '"""Numbers."""\n\n\ndef double(x):\n    """Twice a number.\n\n    >>> double(3)\n    6\n    """\n    return x + 1\n'
TEST = "from numbers_ import double\n\ndef test_double():\n    assert double(3) == 6\n"


def reply(body: str) -> str:
    """The model's text for the function, with this as its last line."""
    return BUGGY[BUGGY.index("def") :].replace("x + 1", body) + "```"


RIGHT, WRONG, OTHER = reply("2 * x"), reply("x + 2"), reply("x - 1")
SAME = reply("x + 1")

PYTHON = shlex.quote(sys.executable)  # which has pytest, whatever `python` is on the PATH
PYTEST = (
    f"cd work && PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {PYTHON} -m pytest -q test_numbers.py"  # plugins take two seconds to load
)
QUICK = f"cd work && {PYTHON} -c 'from numbers_ import double; x = double(3); assert x == 6, f\"assert {{x}} == 6\"'"
"""The same without pytest, for whatever does not depend on what a tool prints: it starts in a tenth of the time."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "Makefile").touch()
    (tmp_path / "work" / "test_numbers.py").write_text(TEST)
    path = tmp_path / "work" / "numbers_.py"
    path.write_text(BUGGY)
    return path


@pytest.fixture
def fix(run: Callable, file: Path) -> Callable:
    def call(*options: str, check: str = QUICK) -> tuple[int, dict, str]:
        before = tree(file.parent)
        done = run("fix", "work/numbers_.py:4", "--json", "--check", check, *options, timeout=200)
        after = {name: text for name, text in tree(file.parent).items() if name != "numbers_.py"}
        assert after == {name: text for name, text in before.items() if name != "numbers_.py"}, "stray or changed files"
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr

    return call


def tree(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_candidate_that_passes_is_offered(fix: Callable, script: Callable, file: Path) -> None:
    model = script({"reply": [WRONG, f"It adds.\n\n```python\n{RIGHT}"]})
    code, shown, said = fix("--write", "-m", model, check=PYTEST)
    assert (code, shown["edit"]["verified"], shown["edit"]["applied"]) == (0, True, True)
    assert "return 2 * x" in file.read_text()
    assert len(shown["edit"]["tried"]) == 2
    assert "Candidate 1: the check fails: 1 failed" in said
    assert "Candidate 2: the check passes." in said


def test_the_model_sees_what_failed_and_what_did_not_help(fix: Callable, script: Callable) -> None:
    rules = (
        {"match": r"(?s)assert 4 == 6.*return x \+ 1` was changed to `return x \+ 2", "reply": f"```python\n{RIGHT}"},
        {"match": "(?s)The check fails.*assert 4 == 6", "reply": WRONG},
        {"reply": "nothing"},
    )
    code, shown, _ = fix("-m", script(*rules))
    assert (code, shown["edit"]["verified"], len(shown["edit"]["tried"])) == (0, True, 2)


def test_what_the_model_nearly_wrote_is_checked_the_likeliest_first(fix: Callable, script: Callable, file: Path) -> None:
    head, tail = SAME.split("return x ")
    model = script(
        {"match": r"return x \*$", "reply": " 2\n```"},
        {"match": r"return x -$", "reply": " 1\n```"},
        {
            "match": "def double$",
            "reply": head.removeprefix("def double") + "return x " + tail,
            "hesitates": {"return x ": "-*"},
        },
    )
    code, shown, said = fix("--write", "-m", model)
    assert (code, shown["edit"]["verified"]) == (0, True), said
    assert "return x * 2" in file.read_text()
    assert [each.split(":")[1][:20] for each in shown["edit"]["tried"]] == [
        " no edit. The answer",
        " the check fails",
        " the check passes.",
    ]


def test_a_candidate_that_changes_too_much_is_checked_change_by_change(fix: Callable, script: Callable, file: Path) -> None:
    two = BUGGY.replace("    return x + 1\n", "    y = x + 1\n    return y\n")
    file.write_text(two)
    both = two[two.index("def") :].replace("y = x + 1", "y = 2 * x").replace("return y", "return y + 7")
    code, shown, said = fix("--write", "-m", script({"reply": both + "```"}))
    assert (code, shown["edit"]["verified"], len(shown["edit"]["tried"])) == (0, True, 1), said
    assert file.read_text() == two.replace("y = x + 1", "y = 2 * x")
    assert "One of its changes alone: the check passes" in said


def test_no_candidate_passes(fix: Callable, script: Callable, file: Path) -> None:
    model = script({"reply": [WRONG, f"```python\n{OTHER}", WRONG, f"```python\n{WRONG}"]})
    code, shown, said = fix("--write", "-m", model)
    assert (code, shown["edit"]["verified"], shown["edit"]["applied"]) == (9, False, False)
    assert file.read_text() == BUGGY
    assert "+    return x + 2" in shown["edit"]["diff"]  # three of four agree on it
    assert "passes with none of 4 candidates" in said
    assert "the same as one before" in said


def test_an_unverified_change_is_made_where_the_user_said_so(fix: Callable, script: Callable, file: Path) -> None:
    code, shown, _ = fix("--write", "--unverified", "--samples", "1", "-m", script({"reply": WRONG}))
    assert (code, shown["edit"]["verified"], shown["edit"]["applied"]) == (0, False, True)
    assert "return x + 2" in file.read_text()


def test_an_empty_change_is_never_a_success(fix: Callable, script: Callable, file: Path) -> None:
    model = script({"match": "saw nothing wrong", "reply": f"```python\n{SAME}"}, {"reply": SAME})
    code, shown, said = fix("--write", "--unverified", "--samples", "2", "-m", model)
    assert (code, shown) == (9, {})
    assert file.read_text() == BUGGY
    assert "changes nothing" in said


def test_examples_of_the_docstring_are_a_check(fix: Callable, script: Callable) -> None:
    rules = ({"match": r"(?s)Expected: 6\nGot: 4.*x \+ 2", "reply": f"```python\n{RIGHT}"}, {"match": "Got: 4", "reply": WRONG})
    code, shown, said = fix("--write", "-m", script(*rules), check="doctest")
    assert (code, shown["edit"]["verified"]) == (0, True)
    assert "0 of 1 examples hold" in said


def test_a_check_that_passes_already_is_said(fix: Callable, script: Callable) -> None:
    code, shown, said = fix("--write", "-m", script({"reply": RIGHT}), check="true")
    assert (code, shown["edit"]["verified"]) == (0, None)
    assert "passes already" in said


def test_without_examples_nothing_is_claimed(fix: Callable, script: Callable, file: Path) -> None:
    file.write_text(BUGGY.replace(">>> ", ""))
    code, shown, said = fix("--diff", "-m", script({"reply": RIGHT.replace(">>> ", "")}), check="doctest")
    assert (code, shown["edit"]["verified"]) == (0, None)
    assert "nothing is checked" in said


@pytest.mark.parametrize(
    ("seconds", "check", "said"),
    [
        (1, "while :; do :; done", "did not end within 1 s"),
        (9, "echo gone > numbers_.py; echo x > ../../escaped; false", "the check fails"),
        (9, f"{PYTHON} -c 'import socket; socket.create_connection((\"127.0.0.1\", 9))'", "Operation not permitted"),
        (9, "rm -rf work; false", "the check fails"),
    ],
)
def test_hostile_checks_are_held(fix: Callable, script: Callable, file: Path, seconds: int, check: str, said: str) -> None:
    options = ("--check-seconds", str(seconds), "--samples", "1")
    code, shown, heard = fix(*options, "-m", script({"reply": RIGHT}), check=check)
    assert (code, shown["edit"]["verified"]) == (9, False)
    assert said in heard
    assert file.read_text() == BUGGY
    assert not (file.parent.parent / "escaped").exists()


def test_what_makes_no_sense_is_one_line(run: Callable, fix: Callable, script: Callable) -> None:
    model = script({"reply": RIGHT})
    assert fix("-m", model, check="no-such-program-at-all")[0] == 2
    assert fix("-m", model, check="  ")[0] == 2
    for options, code in ((("--samples", "2"), 2), (("--unsandboxed",), 2), (("--check", "true", "--samples", "0"), 2)):
        done = run("fix", "work/numbers_.py:4-10", *options, "-m", model)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr


def test_the_copy_comes_before_an_installation(fix: Callable, script: Callable, file: Path) -> None:
    """What the check imports is the candidate, even if it starts elsewhere and the package lies in `src`."""
    (file.parent.parent / "src").mkdir()
    (file.parent.parent / "src" / "beside.py").write_text("from work.numbers_ import double\n")
    check = f"cd / && {PYTHON} -c 'from beside import double; assert double(3) == 6'"
    assert fix("-m", script({"reply": RIGHT}), check=check)[1]["edit"]["verified"] is True


def test_one_bug_of_several_is_progress(fix: Callable, script: Callable, file: Path) -> None:
    two = BUGGY.replace("    return x + 1\n", "    y = x + 1\n    return y - 1\n")
    file.write_text(two)
    (file.parent / "test_numbers.py").write_text(f"{TEST}\ndef test_one():\n    assert double(1) == 2\n")
    half = two[two.index("def") :].replace("y - 1", "y") + "```"  # right for 1 and wrong for 3
    whole = half.replace("y = x + 1", "y = 2 * x")
    model = script({"match": r"(?s)return y\n.*saw nothing wrong", "reply": f"```python\n{whole}"}, {"reply": half})
    code, shown, _ = fix("--write", "-m", model, check=PYTEST)
    assert (code, shown["edit"]["verified"], len(shown["edit"]["tried"])) == (
        0,
        True,
        3,
    )  # the second: no edit of what the first one left
    assert file.read_text() == two.replace("y = x + 1", "y = 2 * x").replace("return y - 1", "return y")
    assert "-    y = x + 1\n-    return y - 1\n+    y = 2 * x\n+    return y\n" in shown["edit"]["diff"]
