"""The real `assistant`, as a process, with the engine that plays a script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.buffer import engine_is_idle

Run = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM = (str(Path(sys.executable).with_name("assistant")),)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Nothing of the user's own settings, and a home of the test's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STARCHAT_")}
    return {**kept, "STARCHAT_HOME": str(tmp_path / "home"), "STARCHAT_IDLE_MINUTES": "2", "COLUMNS": "100"}


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Iterator[Run]:
    """`run("ask", "Hi", stdin="…", env={…})` in the test's folder; every host that was started is ended afterwards."""

    def call(*arguments: str, stdin: str | None = None, env: dict[str, str] | None = None, timeout: float = 60) -> Any:
        return subprocess.run(
            [*PROGRAM, *arguments],
            cwd=tmp_path,
            env={**environment, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    yield call
    for record in (tmp_path / "home" / "hosts").glob("*.json"):
        _end(record)


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., str]:
    """`script({"reply": "…"}, …, slots=2)` writes a script of these rules and gives the name of its model."""

    def write(*rules: dict[str, Any], **keys: Any) -> str:
        number = len(list(tmp_path.glob("script*.json")))
        path = tmp_path / f"script{number}.json"
        path.write_text(json.dumps({"context_length": 8192, "rules": rules, **keys}), encoding="utf-8")
        return f"scripted:{path}"

    return write


def until_asked(home: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the process has asked the one model host of this home, which runs already."""
    while engine_is_idle(home):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def _end(record: Path) -> None:
    try:
        os.kill(int(json.loads(record.read_text())["pid"]), signal.SIGKILL)
    except (OSError, ValueError, KeyError):
        return
