"""The wheel holds what it needs and nothing else, and works from anywhere after pip, pipx or uv has installed it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("assistant", "server", "training")
GUARD = "0_starchat_assistant.pth"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, REPOSITORY)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (path for package in PACKAGES for path in (REPOSITORY / package).rglob("*") if path.is_file())
    expected = {path.relative_to(REPOSITORY).as_posix() for path in files if "__pycache__" not in path.parts}
    assert inside == expected | {GUARD}
    assert {"assistant/py.typed", "assistant/prompts/ask.md", "assistant/models/catalogue.toml"} <= inside


def test_the_guard_is_one_line_that_python_runs_at_start(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        lines = archive.read(GUARD).decode("ascii").splitlines()
    assert [line.startswith("import os, sys; ") for line in lines if not line.startswith("#")] == [True]


@pytest.mark.parametrize("installer", ["pip", "pipx", "uv"])
def test_an_installed_wheel_answers_outside_the_clone(wheel: Path, tmp_path: Path, installer: str) -> None:
    assistant = {"pip": with_pip, "pipx": with_pipx, "uv": with_uv}[installer](wheel, tmp_path / "installed")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "sitecustomize.py").write_text("open('ran', 'w').close()")
    script = workspace / "script.json"
    script.write_text(json.dumps({"rules": [{"reply": "Hello from afar."}]}))
    environment = user_environment(tmp_path) | {"PYTHONPATH": str(workspace)}
    assert "ask" in run(assistant, "--help", cwd=workspace, env=environment)
    try:
        unopened = [assistant, "ask", "-m", "qwen2.5-coder-1.5b-torch", "Hello?"]  # not fetched where it could not be opened
        refused = subprocess.run(unopened, cwd=workspace, env=environment, capture_output=True, text=True, check=False)
        assert (refused.returncode, "needs the package torch" in refused.stderr) == (5, True), refused.stderr
        answer = run(assistant, "ask", "-y", "-m", f"scripted:{script}", "Hello?", cwd=workspace, env=environment)
    finally:
        run(assistant, "stop", cwd=workspace, env=environment)
    assert answer.strip() == "Hello from afar."
    assert not (workspace / "ran").exists(), "the workspace's own code ran"


def with_pip(wheel: Path, folder: Path) -> Path:
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    run(sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "-q", "--no-compile", wheel)
    return folder / "bin" / "assistant"


def with_pipx(wheel: Path, folder: Path) -> Path:
    homes = {"PIPX_HOME": str(folder / "home"), "PIPX_BIN_DIR": str(folder / "bin"), "PIPX_MAN_DIR": str(folder / "man")}
    run(sys.executable, "-m", "pipx", "install", "--python", sys.executable, wheel, env=os.environ | homes)
    return folder / "bin" / "assistant"


def with_uv(wheel: Path, folder: Path) -> Path:
    homes = {"UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    run(sys.executable, "-m", "uv", "tool", "install", "-q", "--python", sys.executable, wheel, env=os.environ | homes)
    return folder / "bin" / "assistant"


def user_environment(home: Path) -> dict[str, str]:
    """What a user's shell holds: nothing of this test run's own Python settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("STARCHAT_", "PYTHON"))}
    return clean | {"STARCHAT_HOME": str(home / "home")}


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout
