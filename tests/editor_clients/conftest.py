"""What tests in real editors share: an environment of their own, models that play scripts, and a table of what was seen."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from assistant.settings import model_cache
from tests.editor_clients.golden_paths import GOLDEN_PATHS, MORE
from tests.editor_clients.vscode_window import (  # noqa: F401  fixtures of several test files
    bench,
    screens,
    script,
    vscode,
    vscode_installed,
    window_folder,
)

REPOSITORY = Path(__file__).parents[2]
CLIENTS = REPOSITORY / "editor-clients"
BENCH = REPOSITORY / "bench"
EDITORS = Path(
    os.environ.get("STARCHAT_EDITORS")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "starchat-assistant" / "editors"
)
REAL_MODEL = "qwen2.5-coder-0.5b"

_ROWS = pytest.StashKey[list[dict[str, str]]]()

Record = Callable[[str, str, str, str, str], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("clients")


@pytest.fixture(scope="session")
def record(request: pytest.FixtureRequest) -> Record:
    """`record(golden_path, editor, engine, result, version)`: a row of `clients.json`, written at the end of the run."""
    rows = request.config.stash.setdefault(_ROWS, [])

    def call(golden_path: str, editor: str, engine: str, result: str, version: str) -> None:
        assert golden_path in (*GOLDEN_PATHS, *MORE), f"{golden_path!r} is not among the golden paths"
        row = {"golden_path": golden_path, "editor": editor, "engine": engine, "result": result, "version": version}
        rows.append(row)

    return call


@pytest.fixture
def seen(record: Record) -> Callable[..., AbstractContextManager[None]]:
    """`with seen(golden_path, editor, version, engine="scripted"):` records how its block ended."""

    @contextmanager
    def call(golden_path: str, editor: str, version: str, engine: str = "scripted") -> Iterator[None]:
        try:
            yield
        except BaseException:
            record(golden_path, editor, engine, "failed", version)
            raise
        record(golden_path, editor, engine, "passed", version)

    return call


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write `bench/clients.json`, and print it as a table."""
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    BENCH.mkdir(exist_ok=True)
    (BENCH / "clients.json").write_text(json.dumps(rows, indent=1) + "\n")
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        found[row["golden_path"], f"{row['editor']} {row['version']}\n{row['engine']}"].add(row["result"])
    editors = sorted({editor for _, editor in found})
    table = Table("golden path", *editors, title="bench/clients.json")
    for path in (*GOLDEN_PATHS, *MORE):
        table.add_row(path, *(", ".join(sorted(found.get((path, editor), set()))) for editor in editors))
    console = Console(width=160)
    with console.capture() as shown:
        console.print(table)
    terminalreporter.write(shown.get())


@pytest.fixture(scope="session")
def installed() -> Callable[..., Path]:
    """`installed("nvim")` is the path of an editor; one that is missing fails the test under CI, and skips it elsewhere."""

    def call(name: str) -> Path:
        found = shutil.which(name, path=f"{EDITORS / 'bin'}{os.pathsep}{os.environ['PATH']}")
        if found is None:
            say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            say(f"{name} is not installed: run scripts/editors/install")
        return Path(found)

    return call


@pytest.fixture
def home() -> Iterator[Path]:
    """A `STARCHAT_HOME` with a short path, as sockets need it; no host outlives it."""
    folder = Path(tempfile.mkdtemp(prefix="sc-"))
    yield folder
    for host in (folder / "hosts").glob("*.json"):
        with suppress(OSError, ValueError, KeyError):
            os.kill(int(json.loads(host.read_text())["pid"]), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """The environment of an editor: this server comes first on the PATH, no settings of the user's apply, models are shared."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STARCHAT_", "XDG_", "TMUX", "PYTHON"))}
    own = (EDITORS / "bin", Path(sys.executable).parent)
    return {
        **kept,
        "PATH": os.pathsep.join((*map(str, own), kept["PATH"])),
        "HOME": str(home),
        "STARCHAT_HOME": str(home),
        "STARCHAT_CACHE": str(model_cache().parent),
        "STARCHAT_IDLE_MINUTES": "5",
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
    }


@pytest.fixture
def scripted(home: Path) -> Callable[..., str]:
    """`scripted({"reply": "…"}, …)` writes a script of these rules (see `assistant.hosting.script`); its model's name."""

    def write(*rules: dict[str, Any], **keys: Any) -> str:
        path = home / f"script{len(list(home.glob('script*.json')))}.json"
        path.write_text(json.dumps({"context_length": 16384, "rules": rules, **keys}), encoding="utf-8")
        return f"scripted:{path}"

    return write


@pytest.fixture(scope="session")
def real_model() -> str:
    """The name of a small model, which lies on the disk."""
    pull = [Path(sys.executable).with_name("assistant"), "models", "pull", REAL_MODEL, "-y"]
    subprocess.run(pull, check=True, timeout=280, capture_output=True)
    return REAL_MODEL
