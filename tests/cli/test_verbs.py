"""`assistant explain`, `review`, `edit`, `document`, `translate` and `tests` as a user meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = "def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))\n"
JAVASCRIPT = "function add(a, b) {\n  return a + b;\n}\n\nconsole.log(add(1, 2));\n"
DOCUMENTED = 'def add(a, b):\n    """The sum."""\n    return a + b\n'
TESTS = "\n\ndef test_add():\n    assert add(1, 2) == 3\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "adder.py"
    path.write_text(SOURCE)
    return path


@pytest.mark.parametrize("name", ["explain", "review"])
def test_answers_are_about_the_lines(run: Callable, script: Callable, file: Path, name: str) -> None:
    model = script({"match": "lines 1 to 2:", "reply": "It adds."}, {"reply": "no"})
    assert run(name, "adder.py:2", "-m", model).stdout == "It adds.\n"
    shown = json.loads(run(name, "adder.py:1-2", "--json", "-m", model).stdout)
    assert (shown["text"], set(shown)) == ("It adds.", {"text", "code", "model", "usage", "finish_reason"})
    assert file.read_text() == SOURCE


def test_edit_does_as_it_is_told(run: Callable, script: Callable, file: Path) -> None:
    renamed = "def add(x, b):\n    return x + b\n```"
    done = run(
        "edit", "adder.py:1", "call the first one x", "--write", "-m", script({"match": "call the first", "reply": renamed})
    )
    assert done.returncode == 0, done.stderr
    assert file.read_text() == SOURCE.replace("a, b):\n    return a", "x, b):\n    return x")
    untold = run("edit", "adder.py", " ", "-m", "none")
    assert (untold.returncode, untold.stderr.count("\n")) == (2, 1)
    assert "needs to be told" in untold.stderr


def test_document_changes_comments_alone(run: Callable, script: Callable, file: Path) -> None:
    damaged = DOCUMENTED.replace("a + b", "a - b")
    model = script({"match": "changed a statement", "reply": f"{DOCUMENTED}```"}, {"reply": f"{damaged}```"})
    done = run("document", "adder.py:1", "--write", "-m", model)
    assert (done.returncode, file.read_text()) == (0, SOURCE.replace(SOURCE[:32], DOCUMENTED))
    assert "changed code, not only comments" in done.stderr
    file.write_text(SOURCE)
    done = run("document", "adder.py:1", "--write", "-m", script({"reply": f"{damaged}```"}))
    assert (done.returncode, file.read_text(), done.stdout) == (9, SOURCE, "")
    assert "'return a + b' became 'return a - b'" in done.stderr


def test_translate_writes_beside_the_file_and_over_none(run: Callable, script: Callable, file: Path) -> None:
    model = script({"reply": f"{JAVASCRIPT}```"})
    for to, name in (("JavaScript", "adder.js"), (".js", "adder_2.js")):
        done = run("translate", "adder.py", "--to", to, "-m", model)
        assert done.returncode == 0, done.stderr
        assert done.stderr == f"Wrote {name} (5 lines).\n"
        assert (file.parent / name).read_text() == JAVASCRIPT
    shown = run("translate", "adder.py", "--to", "js", "-o", "-", "-m", model)
    assert (shown.stdout, shown.stderr) == (JAVASCRIPT, "")
    done = run("translate", "adder.py", "-o", "x.js", "--json", "-m", model)
    assert json.loads(done.stdout)["file"] == {"path": "x.js"}
    assert sorted(path.name for path in file.parent.glob("*.js")) == ["adder.js", "adder_2.js", "x.js"]
    assert not list(file.parent.glob(".starchat*"))


def test_mistakes_are_one_line_and_nothing_is_written(run: Callable, script: Callable, file: Path) -> None:
    (file.parent / "mine.js").write_text("mine")
    (file.parent / "link.js").symlink_to("nowhere")
    for arguments, code, said in [
        (("translate", "adder.py"), 2, "--to JavaScript"),
        (("translate", "adder.py", "--to", "klingon"), 2, "no language 'klingon'. Known: Python, JavaScript"),
        (("translate", "adder.py", "-o", "x.klingon"), 2, "x.klingon does not tell the language"),
        (("translate", "adder.py", "-o", "-"), 2, "not said into which language"),
        (("translate", "adder.py", "--to", "py"), 2, "is in Python already"),
        (("ask", "Hi", "-f", "n" * 300), 3, "is no name of a file"),
        (("translate", "adder.py", "--to", "js", "-o", "mine.js"), 3, "mine.js is there already"),
        (("translate", "adder.py", "--to", "js", "-o", "link.js"), 3, "link.js is there already"),
        (("translate", "adder.py", "--to", "js", "-o", "no/x.js"), 3, "no folder no"),
        (("translate", "none.py", "--to", "js"), 3, "does not exist"),
        (("tests", "adder.py:7-9"), 3, "has 5 lines"),
        (("explain", "."), 3, "is a folder"),
    ]:
        done = run(*arguments, "-m", "none")
        assert (done.returncode, done.stderr.count("\n")) == (code, 1), (arguments, done.stderr)
        assert said in done.stderr
    assert (file.parent / "mine.js").read_text() == "mine"


def test_what_is_no_file_is_refused_and_shown(run: Callable, script: Callable, file: Path) -> None:
    done = run("translate", "adder.py", "--to", "js", "-m", script({"reply": "function add( {\n```"}))
    assert (done.returncode, done.stdout) == (9, "")
    assert "function add( {" in done.stderr and "does not parse" in done.stderr
    assert not list(file.parent.glob("*.js"))


def test_what_cannot_be_written_is_shown(run: Callable, script: Callable, file: Path) -> None:
    arguments = ("translate", "adder.py", "-o", f"{'n' * 300}.js", "-m", script({"reply": f"{JAVASCRIPT}```"}))
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (7, "") and JAVASCRIPT.strip() in done.stderr
    done = run(*arguments, "--json")
    assert (done.returncode, done.stderr.count("\n")) == (7, 1)
    assert json.loads(done.stdout)["code"] == JAVASCRIPT and json.loads(done.stdout)["file"] == {"path": None}


def test_the_tests_it_writes_run(run: Callable, script: Callable, file: Path) -> None:
    done = run("tests", "adder.py:1", "-m", script({"reply": f"{TESTS}```"}))
    assert done.returncode == 0, done.stderr
    assert (file.parent / "test_adder.py").read_text().startswith("import pytest\n\nfrom adder import add\n")
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_adder.py"], cwd=file.parent, capture_output=True
    )
    assert b"1 passed" in tested.stdout, tested.stdout


def test_context_is_shown_without_asking(run: Callable, file: Path) -> None:
    for arguments, said in [
        (("translate", "adder.py", "--to", "rust"), "Translate this code to Rust."),
        (("tests", "adder.py"), "with pytest"),
        (("edit", "adder.py", "sort it"), "Instruction: sort it"),
        (("explain", "adder.py"), "Explain the code"),
    ]:
        done = run(*arguments, "--show-context")
        assert done.returncode == 0 and said in done.stdout, done.stderr
        assert "nothing was sent" in done.stdout


def test_a_projects_instructions_are_shown_unless_switched_off(run: Callable, script: Callable, file: Path) -> None:
    (file.parent / "AGENTS.md").write_text("Use long names.\nmodel = 'evil'\n")
    for arguments in (
        ("explain", "adder.py"),
        ("edit", "adder.py", "x"),
        ("tests", "adder.py"),
        ("ask", "x", "-f", "adder.py"),
    ):
        assert "Use long names." in run(*arguments, "--show-context").stdout
        assert "long names" not in run(*arguments, "--show-context", "--no-project").stdout
        assert "long names" not in run(*arguments, "--show-context", env={"STARCHAT_PROJECT": "0"}).stdout
    model = script({"match": "Use long names", "reply": "Told."}, {"reply": "no"})
    assert run("explain", "adder.py", "-m", model).stdout == "Told.\n"
