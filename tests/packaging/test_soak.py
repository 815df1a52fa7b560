"""`make soak` goes on where it was stopped, and begins anew when the code changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[1]
TESTS = """
import os
from pathlib import Path

def test_good():
    with Path("ran").open("a") as file:
        file.write("good\\n")

def test_bad():
    with Path("ran").open("a") as file:
        file.write("bad\\n")
    assert os.path.exists("mended")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_some.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    return tmp_path


def soak(project: Path, *options: str) -> tuple[int, list[str], str]:
    ran = project / "ran"
    ran.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "resuming", "-p", "no:cacheprovider", *options]
    environment = {**os.environ, "PYTHONPATH": str(PLUGIN), "STARCHAT_SCALE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ended = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=60)
    return ended.returncode, ran.read_text().split() if ran.exists() else [], ended.stdout


def test_what_passed_is_not_run_again_until_the_code_changes(project: Path) -> None:
    assert soak(project)[:2] == (1, ["good", "bad"])
    (project / "mended").touch()
    code, ran, said = soak(project)
    assert (code, ran) == (0, ["bad"]) and "1 passed earlier" in said
    assert soak(project)[:2] == (0, [])
    (project / "tests" / "more.py").write_text("x = 1\n")
    assert soak(project)[:2] == (0, ["good", "bad"])


def test_some_can_be_picked_and_a_torn_note_does_no_harm(project: Path) -> None:
    assert soak(project, "-k", "good")[:2] == (0, ["good"])
    with (project / ".soak" / "passed.jsonl").open("a") as file:
        file.write('{"code": "half')
    (project / "mended").touch()
    assert soak(project)[:2] == (0, ["bad"])
