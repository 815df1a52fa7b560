"""The window of VS Code in which the tests of its client take turns, and the model that plays along."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.editor_clients import vscode_driver
from tests.editor_clients.vscode_driver import REPOSITORY, Workbench
from tests.server.buffer import end_hosts

STATS = "def mean(values):\n    return sum(values) / len(values)\n\n\ndef add(a, b):\n    total = a - b\n    return total\n"
FIXED = STATS.replace("a - b", "a + b")
ADD = "```python\ndef add(a, b):\n    total = a + b\n    return total\n```"
ANSWER = (
    "`add` takes `b` **away** where it should add it.\n\n"
    '```python\ndef add(a, b):\n    """The sum of a and b."""\n    total = a + b  # not minus\n    return total\n```\n\n'
    "<img src=x onerror=alert(1)> and [a link](javascript:alert(1)) stay text."
)
LONG = " ".join(f"Word {number * 7919 % 1000}." for number in range(400))
STATUS = "await page.locator('.statusbar-item', { hasText: 'scripted' }).waitFor()"
RULES: tuple[dict[str, Any], ...] = (
    {"match": "What is amiss[\\s\\S]*my question again", "reply": "You asked **what is amiss**."},
    {"match": "total = a - b[\\s\\S]*What is amiss", "reply": ANSWER, "delay_ms": 1},
    {"match": "Talk for long", "reply": LONG, "delay_ms": 12},
    {"match": "total is wrong", "reply": ADD.removeprefix("```python\n")},  # the reply begins inside its fence
    {"match": "slow_add", "reply": ADD.replace("add", "slow_add"), "delay_ms": 40},
    {"match": "Two changes", "reply": f"```python\n{FIXED.replace('sum(values) /', 'sum(values) //')}```"},
    {"match": "Name the sum", "reply": "```python\r\ndef add(a, b):\r\n\ttotal = a + b\r\n\treturn total\r\n```"},
    {"match": "<fim_prefix>[\\s\\S]*def double\\(x\\):\\n    <", "reply": "return 2 * x"},
    {"match": "<fim_prefix>", "reply": ""},
    {"match": "JavaScript", "reply": "```javascript\nfunction add(a, b) {\n  return a - b;\n}\n```"},
    {"match": "(?i)explain", "reply": "## What it does\n\nIt takes `b` **away** from `a`.\n"},
    {"reply": "Nothing to say."},
)


@pytest.fixture(scope="session")
def vscode_installed() -> None:
    """VS Code is there; where it is missing, the tests fail under CI, and say how to install it elsewhere."""
    try:
        vscode_driver.installed()
    except FileNotFoundError as missing:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(missing))


@pytest.fixture(scope="session")
def window_folder() -> Iterator[Path]:
    """A short path, as sockets need it."""
    path = Path(tempfile.mkdtemp(prefix="vs-"))
    yield path
    end_hosts(path / "home")
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def script(window_folder: Path) -> Callable[..., str]:
    """`script(name, {"reply": "…"}, …)` writes a script of these rules; its model's name."""

    def write(name: str, *rules: dict[str, Any], **keys: Any) -> str:
        path = window_folder / f"{name}.json"
        path.write_text(json.dumps({"context_length": 16384, "rules": rules, **keys}))
        return f"scripted:{path}"

    return write


@pytest.fixture(scope="session")
def bench(vscode_installed: None, window_folder: Path, script: Callable[..., str]) -> Iterator[Workbench]:
    """One window for all tests but those that need one of their own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STARCHAT_", "PYTHON"))}
    environment = {**kept, "STARCHAT_HOME": str(window_folder / "home"), "STARCHAT_IDLE_MINUTES": "5"}
    with vscode_driver.workbench(window_folder, {"starchat.model": script("plays", *RULES)}, environment) as opened:
        opened.load()
        yield opened


@pytest.fixture
def vscode(bench: Workbench, script: Callable[..., str], screens: Path, request: pytest.FixtureRequest) -> Iterator[Workbench]:
    """The window without editors and messages; how it looks at the end of the test is kept."""
    bench.tidy()
    bench.set(starchat__model=script("plays", *RULES), starchat__edits__confirm=False)
    yield bench
    bench.shot(screens / f"end-of-{request.node.name}.png")


@pytest.fixture(scope="session")
def screens() -> Path:
    """Where the screenshots go."""
    path = REPOSITORY / "bench" / "screens"
    path.mkdir(parents=True, exist_ok=True)
    return path
