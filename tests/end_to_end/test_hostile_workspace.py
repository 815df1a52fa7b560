"""Promise 15: a workspace that holds files named like our modules, also on PYTHONPATH, runs 0 lines of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ASSISTANT = Path(sys.executable).with_name("assistant")

HOSTILE = (
    "assistant/__init__.py",
    "assistant/cli/__init__.py",
    "assistant/hosting/__init__.py",
    "assistant/hosting/__main__.py",
    "server/__init__.py",
    "server.py",
    "training/__init__.py",
    "torch.py",
    "json.py",
    "argparse.py",
    "asyncio/__init__.py",
    "re.py",
    "signal.py",
    "typing.py",
    "httpx2.py",
    "rich/__init__.py",
    "xllamacpp/__init__.py",
    "_distutils_hack/__init__.py",
    "sitecustomize.py",
    "usercustomize.py",
)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder where every file writes its own name into `ran.txt` beside the folder when a line of it runs."""
    folder = tmp_path / "workspace"
    marker = tmp_path / "ran.txt"
    for name in HOSTILE:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"with open({str(marker)!r}, 'a') as marker:\n    marker.write({name!r} + chr(10))\n")
    (folder / "settings.toml").write_text('endpoint = "http://127.0.0.1:9"\n')
    return folder


@pytest.fixture
def environment(tmp_path: Path, workspace: Path) -> dict[str, str]:
    """The user's environment with the workspace on every path that Python reads."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("STARCHAT_", "PYTHON"))}
    paths = os.pathsep.join((str(workspace), "."))
    return clean | {"PYTHONPATH": paths, "PYTHONUSERBASE": str(workspace), "STARCHAT_HOME": str(tmp_path / "home")}


def test_the_traps_work(workspace: Path, environment: dict[str, str]) -> None:
    """Another program does run lines of this workspace; otherwise the tests below would prove nothing."""
    subprocess.run([sys.executable, "-c", "import json"], cwd=workspace, env=environment, capture_output=True, timeout=60)
    assert lines_that_ran(workspace)
    for name in HOSTILE:
        subprocess.run([sys.executable, "-I", "-S", workspace / name], check=True, timeout=60)
    assert set(HOSTILE) <= set(lines_that_ran(workspace))


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("ask",), ("ask", "-f", "json.py", "--show-context", "hello")]
)
def test_the_shell_runs_nothing_of_a_workspace(
    workspace: Path, environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    run_assistant(*arguments, cwd=workspace, env=environment)
    assert lines_that_ran(workspace) == []


def test_an_answer_and_its_model_host_run_nothing_of_a_workspace(workspace: Path, environment: dict[str, str]) -> None:
    script = workspace / "script.json"
    script.write_text(json.dumps({"rules": [{"reply": "The answer is 42."}]}))
    try:
        done = run_assistant("ask", "-y", "-m", f"scripted:{script}", "What is the answer?", cwd=workspace, env=environment)
        assert done.returncode == 0, done.stderr
        assert "The answer is 42." in done.stdout
        assert lines_that_ran(workspace) == []
        assert run_assistant("status", cwd=workspace, env=environment).returncode == 0
    finally:
        stopped = run_assistant("stop", cwd=workspace, env=environment)
    assert stopped.returncode == 0, stopped.stderr
    assert lines_that_ran(workspace) == []


def test_other_programs_keep_their_python_path(tmp_path: Path) -> None:
    """The guard is for our own scripts only: a program beside them still finds its modules by PYTHONPATH."""
    (tmp_path / "mine.py").write_text("print('mine')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", "import mine"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "mine\n", done.stderr


def lines_that_ran(workspace: Path) -> list[str]:
    marker = workspace.with_name("ran.txt")
    return marker.read_text().split() if marker.exists() else []


def run_assistant(*arguments: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [str(ASSISTANT), *arguments]
    return subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
