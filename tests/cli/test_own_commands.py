"""Users' own commands work like built-in ones; a broken one says so, and breaks nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.commands import COMMANDS
from assistant.own_commands import RESERVED

SOURCE = "def add(a, b):\n    return (a + b)\n"
HEAD = "---\ntitle: Simplify it\neffect: {}\nlanguages: [python, js]\n---\n"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The folder of the user's commands, with a file beside which to use them."""
    (tmp_path / "adder.py").write_text(SOURCE)
    folder = tmp_path / "home" / "commands"
    folder.mkdir(parents=True)
    return folder


def test_an_edit_of_ones_own(run: Callable, script: Callable, own: Path) -> None:
    (own / "simplify.md").write_text(HEAD.format("edit") + "Take away needless $brackets.\n\n## Mind\n\nall of it\n")
    assert re.search(r"simplify +simplify it|simplify\n? +Simplify it \(your own\)", run("--help").stdout)
    shown = run("simplify", "adder.py:1", "--show-context").stdout
    assert "Instruction: Take away needless $brackets.\n\n### Mind\n\nall of it" in shown and "lines 1 to 2" in shown
    model = script({"match": "did nothing|back as it was", "reply": "x"}, {"reply": "def add(a, b):\n    return a + b\n```"})
    done = run("simplify", "adder.py:1", "--write", "-m", model)
    assert (done.returncode, (own.parents[1] / "adder.py").read_text()) == (0, SOURCE.replace("(a + b)", "a + b")), done.stderr
    (own.parents[1] / "x.go").write_text("package x\n")
    done = run("simplify", "x.go", "-m", model)
    assert (done.returncode, done.stderr) == (2, "assistant: `simplify` is for Python, JavaScript. This is Go.\n")


def test_an_answer_and_a_file_of_ones_own(run: Callable, script: Callable, own: Path) -> None:
    (own / "risks.md").write_text("---\neffect: answer\n---\nWhat can go wrong when $question?\n")
    (own / "schema.md").write_text("---\neffect: file\nlanguage: sql\n---\nWrite a table for this.\n")
    done = run("risks", "adder.py", "it is empty", "-m", script({"match": "wrong when it is empty", "reply": "All."}))
    assert done.stdout == "All.\n", done.stderr
    assert "INSTRUCTION" in run("risks", "--help").stdout
    done = run("schema", "adder.py", "-m", script({"reply": "CREATE TABLE t (a INT);\n```"}))
    assert done.returncode == 0, done.stderr
    assert (own.parents[1] / "schema.sql").read_text() == "CREATE TABLE t (a INT);\n"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bad", "no front matter", "has no front matter"),
        ("bad", "---\neffect: fly\n---\nx\n", "the effect 'fly'"),
        ("bad", "---\ntitle: x\n---\nx\n", "names no effect"),
        ("bad", "---\neffect: edit\n---\n\n", "has no instruction"),
        ("bad", "---\neffect: edit\nmodel: evil\n---\nx\n", "'model: evil'"),
        ("bad", "---\neffect: edit\nlanguages: klingon\n---\nx\n", "unknown language 'klingon'"),
        ("bad", "---\neffect: edit\nlanguage: sql\n---\nx\n", "belongs to effect: file"),
        ("bad", "---\neffect: edit\ntitle: a\ntitle: b\n---\nx\n", "two lines `title:`"),
        ("bad", "---\neffect: edit\n---\n\xff\n", "is not in UTF-8"),
        ("Bad_Name", "---\neffect: edit\n---\nx\n", "no name for a command"),
    ],
)
def test_a_broken_one_names_its_file_and_the_others_work(run: Callable, own: Path, name: str, text: str, said: str) -> None:
    (own / f"{name}.md").write_bytes(text.encode("latin-1"))
    (own / "good.md").write_text("---\neffect: answer\n---\nx\n")
    done = run(name, "adder.py")
    assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
    assert f"{name}.md" in done.stderr and said in done.stderr
    assert run("good", "adder.py", "--show-context").returncode == 0
    assert "cannot be used" in run("--help").stdout


def test_what_people_write_is_understood(run: Callable, script: Callable, own: Path) -> None:
    (own / "full.md").write_text(
        "\ufeff---\ntitle: 100% of it\neffect: Answer\nlanguages:\n  - python\n  - js\n---\nRead ${file}: $language, $5.\n",
        newline="\r\n",
    )
    for name in ("README.md", ".#full.md"):
        (own / name).write_text("not a command")
    helped = run("--help")
    assert "100% of it (your own)" in helped.stdout and "cannot be used" not in helped.stdout, helped.stderr
    assert "Read adder.py: Python, $5." in run("full", "adder.py", "--show-context").stdout
    model = script({"match": r"Read adder\.py: , \$5\.", "reply": "Done."}, {"reply": "no"})
    assert "Done." in run("chat", "-m", model, stdin="/file adder.py\n/full\n").stdout
    (own.parents[1] / "x.go").write_text("package x\n")
    assert "is for Python, JavaScript" in run("full", "x.go").stderr


def test_a_built_in_command_stays_what_it_is(run: Callable, own: Path) -> None:
    (own / "explain.md").write_text("---\neffect: answer\n---\nSing.\n")
    done = run("explain", "adder.py", "--show-context")
    assert "Explain the code" in done.stdout and "Sing" not in done.stdout
    assert "explain.md is not used: `explain` is a command of the assistant's own" in done.stderr
    assert run("review", "adder.py", "--show-context").stderr == ""


def test_none_is_read_from_a_workspace(run: Callable, own: Path) -> None:
    for folder in ("commands", ".assistant/commands", ".config/starchat-assistant/commands"):
        (own.parents[1] / folder).mkdir(parents=True)
        (own.parents[1] / folder / "evil.md").write_text("---\neffect: answer\n---\nx\n")
    assert "evil" not in run("--help").stdout
    assert run("evil", "adder.py").returncode == 2


def test_every_command_of_the_shell_is_reserved(run: Callable) -> None:
    listed = re.search(r"\ncommands:\n(.*?)\n\n", run("--help").stdout, re.DOTALL)
    assert listed is not None
    verbs = set(re.findall(r"^    ([a-z-]+)", listed[1], re.MULTILINE))
    assert verbs <= RESERVED | {row.name for row in COMMANDS}


def test_ones_own_question_is_asked_in_a_chat(run: Callable, script: Callable, own: Path) -> None:
    (own / "risks.md").write_text("---\ntitle: Name risks\neffect: answer\n---\nWhat can go wrong here?\n")
    model = script({"match": r"(?s)return \(a \+ b\).*What can go wrong here\?", "reply": "Everything."}, {"reply": "no"})
    done = run("chat", "-m", model, stdin="/file adder.py\n/risks\n")
    assert "Everything." in done.stdout, done.stderr
    assert "/risks" in run("chat", "-m", model, stdin="/help\n").stdout
