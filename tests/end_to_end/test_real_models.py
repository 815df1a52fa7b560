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
from tests.real_fix import SUMS, check_fix

ASSISTANT = str(Path(sys.executable).with_name("assistant"))
MODEL = ("-m", "qwen2.5-coder-0.5b", "-y")


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
    file.write_text(SUMS)
    done = _assistant(own_home, "fix", f"{file}:8", "--write", *MODEL)
    assert done.returncode in (0, 9), done.stderr
    check_fix("applied" if done.returncode == 0 else "no_edit", file.read_text())
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
