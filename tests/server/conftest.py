"""The real server as a process, and model hosts that play scripts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.server.buffer import begin, end_hosts
from tests.server.editor_at_pipes import Editor


def environment_in(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STARCHAT_")}
    return {
        **kept,
        "STARCHAT_HOME": str(folder / "home"),
        "STARCHAT_CACHE": str(folder / "cache"),
        "STARCHAT_IDLE_MINUTES": "1",
    }


def script_in(folder: Path, *rules: dict[str, Any], **keys: Any) -> str:
    path = folder / f"script{len(list(folder.glob('script*.json')))}.json"
    path.write_text(json.dumps({"context_length": 8192, "rules": rules, **keys}), encoding="utf-8")
    return f"scripted:{path}"


@contextmanager
def one_for_many(folder: Path, capabilities: dict[str, Any], *rules: dict[str, Any]) -> Iterator[Editor]:
    """A server and its host for many tests, each with documents of its own: a start of both takes most of a second."""
    editor = Editor(environment_in(folder), folder)
    begin(editor, capabilities, script_in(folder, *rules))
    yield editor
    editor.close()
    end_hosts(folder / "home")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return environment_in(tmp_path)


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
    editor = Editor(environment_in(folder), folder)
    editor.initialize()
    yield editor
    editor.close()


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., str]:
    """`script({"reply": "…"}, …)` writes a script of these rules and gives the name of its model."""
    return partial(script_in, tmp_path)
