"""The real server as a process, and model hosts that play scripts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.buffer import end_hosts
from tests.server.editor_at_pipes import Editor


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STARCHAT_")}
    return {
        **kept,
        "STARCHAT_HOME": str(tmp_path / "home"),
        "STARCHAT_CACHE": str(tmp_path / "cache"),
        "STARCHAT_IDLE_MINUTES": "1",
    }


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], Editor]]:
    editors: list[Editor] = []

    def call() -> Editor:
        editors.append(Editor(environment, tmp_path))
        return editors[-1]

    yield call
    for editor in editors:
        editor.close()
    end_hosts(tmp_path / "home")


@pytest.fixture
def editor(start: Callable[[], Editor]) -> Editor:
    return start()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """One server for tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("shared")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STARCHAT_")}
    editor = Editor({**kept, "STARCHAT_HOME": str(folder / "home"), "STARCHAT_CACHE": str(folder / "cache")}, folder)
    editor.initialize()
    yield editor
    editor.close()


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., str]:
    """`script({"reply": "…"}, …)` writes a script of these rules and gives the name of its model."""

    def write(*rules: dict[str, Any], **keys: Any) -> str:
        path = tmp_path / f"script{len(list(tmp_path.glob('script*.json')))}.json"
        path.write_text(json.dumps({"context_length": 8192, "rules": rules, **keys}), encoding="utf-8")
        return f"scripted:{path}"

    return write
