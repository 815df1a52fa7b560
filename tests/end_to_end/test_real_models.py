"""A real coding model, from the shell: an answer that runs, and a fix that is exact or is not made."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosting.scripted_host import home

ASSISTANT = str(Path(sys.executable).with_name("assistant"))
MODEL = ("-m", "qwen2.5-coder-0.5b", "-y")

BUGGY = '''"""Sums."""

LIMIT = 100


def total(numbers):
    """Return the sum of the numbers."""
    result = 0
    for number in numbers:
        result = number
    return result


def untouched( x ):
    return x   # as it was
'''


@pytest.fixture(scope="module")
def own_home() -> Iterator[Path]:
    with home() as folder:
        yield folder


def test_an_answer_holds_code_that_runs(own_home: Path) -> None:
    question = "Write a Python function add(a, b) that returns the sum of its arguments. Only the function, no examples."
    done = _assistant(own_home, "ask", question, "--json", *MODEL)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["finish_reason"] == "stop"
    assert shown["model"] == "qwen2.5-coder-0.5b"
    names: dict[str, object] = {}
    exec(compile(ast.parse(shown["code"]), "answer", "exec"), names)  # the test's own question, the pinned model
    assert names["add"](2, 3) == 5  # type: ignore[operator]


def test_a_fix_is_exact_or_is_not_made(own_home: Path, tmp_path: Path) -> None:
    file = tmp_path / "sums.py"
    file.write_text(BUGGY)
    done = _assistant(own_home, "fix", f"{file}:8", "--write", *MODEL)
    assert done.returncode in (0, 9), done.stderr
    if done.returncode == 9:
        assert file.read_text() == BUGGY
        return
    before, after = BUGGY.split("def total"), file.read_text().split("def total")
    assert after != before
    assert after[0] == before[0]
    assert after[1].endswith(before[1][before[1].index("\n\n\ndef untouched") :])
    ast.parse(file.read_text())
    assert list(tmp_path.iterdir()) == [file]


def _assistant(own_home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ASSISTANT, *arguments],
        env={**os.environ, "STARCHAT_HOME": str(own_home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
    )
