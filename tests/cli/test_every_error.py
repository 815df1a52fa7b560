"""docs/errors.md is the tree, and every error of the tree can be met: each is provoked by a real command or request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import assistant.models.sources.hub
import assistant.refusals  # noqa: F401 - both add to the tree
from assistant.errors import AssistantError, every_error
from tests.cli.conftest import PROGRAM, until_asked

REPOSITORY = Path(__file__).parents[2]
TREE = [error for error in every_error() if error.__module__ in ("assistant.errors", "assistant.refusals")]
FIXED = "def add(a, b):\n    return a + b\n```"
SUM = "class Sum:\n    def add(self, a, b):\n        return a - b\n"

Scenario = Callable[["World"], subprocess.CompletedProcess[str]]


class World:
    """A folder with a buggy file, models that say what they are told to, and the program."""

    def __init__(self, folder: Path, environment: dict[str, str], run: Callable, script: Callable) -> None:
        self.folder, self.environment, self.script, self._run = folder, environment, script, run
        (folder / "a.py").write_text("def add(a, b):\n    return a - b\n")

    def run(self, *arguments: str, says: str | list[str] = FIXED, env: dict[str, str] | None = None, **keys: Any) -> Any:
        model = ("-m", self.script({"reply": says}, **keys)) if says else ()
        return self._run(*arguments, *model, "--debug", env=env)

    def limited(self, limit: str, *arguments: str, through: tuple[str, ...] = ()) -> Any:
        command = ["sh", "-c", f'{limit}; exec "$@"', "sh", *through, *PROGRAM, *arguments, "--debug"]
        return subprocess.run(command, env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False)

    def begin(self, *arguments: str, **rule: Any) -> subprocess.Popen[str]:
        command = [*PROGRAM, *arguments, "-m", self.script(rule), "--debug"]
        return subprocess.Popen(
            command, env=self.environment, cwd=self.folder, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def settings(world: World) -> Any:
    (world.folder / "home").mkdir()
    (world.folder / "home" / "settings.toml").write_text("colour = 'red'\n")
    return world.run("ask", "Hi")


def chat_full(world: World) -> Any:
    world.run("chat", "x" * 600, says="x" * 600, context_length=1700)
    return world.run("chat", "--last", "y" * 600, says="x" * 600, context_length=1700)


def crashed(world: World) -> Any:
    return ended(world.begin("ask", "Hi", reply="a long answer", crash="segv", crash_after=3, delay_ms=5))


def conflict(world: World) -> Any:
    process = world.begin("fix", "--write", "a.py", reply=FIXED, prefill_ms=1500)
    deadline = time.monotonic() + 30
    while not list((world.folder / "home" / "hosts").glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    until_asked(world.folder / "home", process)
    (world.folder / "a.py").write_text("def add(a, b):\n    return a * b\n")
    return ended(process)


def cancelled(world: World) -> Any:
    process = world.begin("ask", "Hi", reply="x" * 3000, delay_ms=20)
    assert process.stdout is not None
    process.stdout.read(3)
    process.send_signal(signal.SIGINT)
    return ended(process)


def busy(world: World) -> Any:
    """34 requests at a host that does one at a time: one of them is turned away."""
    import httpx2

    from assistant import address

    os.environ["STARCHAT_HOME"] = world.environment["STARCHAT_HOME"]
    first = world.begin("ask", "Hi", reply="x" * 3000, delay_ms=20)
    assert first.stdout is not None
    first.stdout.read(1)
    (key,) = address.known_keys()
    record = address.read(key)
    assert record is not None
    bodies: list[dict[str, Any]] = []

    def ask(number: int) -> None:
        with httpx2.Client(base_url=record.url, transport=httpx2.HTTPTransport(uds=record.socket), timeout=30) as client:
            headers = {"x-starchat-client": f"test:{number}"}
            body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
            try:
                answer = client.post("/v1/chat/completions", json=body, headers=headers)
            except httpx2.TransportError:
                return
            bodies.append({"status": answer.status_code, **answer.json()})

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while not any(body["status"] == 429 for body in bodies) and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=30)
    for thread in threads:
        thread.join()
    refused = next(body["error"] for body in bodies if body["status"] == 429)
    return subprocess.CompletedProcess([], 8, "", f"assistant.errors.{refused['type']}: {refused['code']}")


def committed(world: World) -> Any:
    for command in (("init", "-q"), ("add", "a.py")):
        subprocess.run(["git", *command], cwd=world.folder, check=True)
    return world.run("commit", says="I like this change very much.")


def of_class(world: World, says: str, *arguments: str) -> Any:
    (world.folder / "b.py").write_text(SUM)
    return world.run(*arguments, says=says)


def latin(world: World) -> Any:
    (world.folder / "a.py").write_bytes("# -*- coding: latin-1 -*-\ndef add(a, b):\n    return 'é'\n".encode("latin-1"))
    return world.run("fix", "--write", "a.py:2-3", says="def add(a, b):\n    return '𝒳'\n```")


def unchanged(world: World) -> Any:
    same = FIXED.replace("+", "-")
    return world.run("fix", "--diff", "a.py", says=[same, f"Nothing is wrong.\n\n```python\n{same}"])


SCENARIOS: dict[str, Scenario] = {
    "internal_error": lambda world: world.limited("ulimit -n 5", "ask", "Hi"),
    "invalid_request": lambda world: world.run("ask"),
    "invalid_input": lambda world: world.run("ask", "Hi", "-f", "missing.py"),
    "context_length_exceeded": lambda world: world.run("ask", "x" * 5000, context_length=1000),
    "chat_full": chat_full,
    "invalid_settings": settings,
    "model_error": lambda world: world.run("ask", "Hi", "-m", "no-such-model", says=""),
    "consent_needed": lambda world: world.run(
        "ask", "Hi", "-m", "qwen2.5-coder-1.5b", says="", env={"STARCHAT_CACHE": str(world.folder / "empty")}
    ),
    "out_of_memory": lambda world: ended(world.begin("ask", "Hi", oom=True)),
    "download_failed": lambda world: world.run(
        *("models", "pull", "qwen2.5-coder-0.5b", "-y", "--source", "hub"),
        says="",
        env={"STARCHAT_CACHE": str(world.folder / "empty"), "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(world.folder)},
    ),
    "storage_error": lambda world: world.limited("ulimit -f 0", "ask", "Hi", "-m", world.script({"reply": "ok"})),
    "host_unavailable": lambda world: world.run("ask", "Hi", "--endpoint", "http://127.0.0.1:9", says=""),
    "host_crashed": crashed,
    "queue_full": busy,
    "no_edit": latin,
    "edit_conflict": conflict,
    "no_sandbox": lambda world: world.limited(
        ":", "fix", "--check", "true", "a.py", "-m", world.script({"reply": FIXED}), through=("setarch", "i686")
    ),
    "cancelled": cancelled,
    "no_code": lambda world: world.run("fix", "--diff", "a.py", says="```\nI cannot help with that."),
    "truncated": lambda world: world.run("fix", "--diff", "--max-tokens", "8", "a.py"),
    "no_change": unchanged,
    "elided": lambda world: world.run("fix", "--diff", "a.py", says="def add(a, b):\n    # ... existing code ...\n```"),
    "unclear": lambda world: of_class(
        world, "    import math\n\n    def add(self, a, b):\n        return a + b\n```", "fix", "--diff", "b.py:2-3"
    ),
    "code_changed": lambda world: world.run(
        "document", "--diff", "a.py", says='def add(a, b):\n    """Add."""\n    return a * b\n```'
    ),
    "no_message": committed,
    "copied_code": lambda world: world.run("tests", "a.py", says=FIXED),
    "hidden_characters": lambda world: world.run("fix", "--diff", "a.py", says=f"{FIXED[:-4]}  # \x1b]0;title\x07\n```"),
    "unknown_name": lambda world: world.run("fix", "--diff", "a.py", says="def add(a, b):\n    return total(a, b)\n```"),
    "unverified": lambda world: world.run("fix", "--check", "false", "a.py"),
    "broken_syntax": lambda world: world.run("fix", "--diff", "a.py", says="def add(a, b:\n    return a + b\n```"),
}


def test_the_page_is_the_tree() -> None:
    made = subprocess.run(
        [sys.executable, "scripts/errors_page.py"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert (REPOSITORY / "docs" / "errors.md").read_text(encoding="utf-8") == made.stdout, "run `make docs`"
    for error in TREE:
        assert f"\n## {error.code}\n" in made.stdout


@pytest.mark.parametrize("error", TREE, ids=lambda error: error.code)
def test_each_can_be_met(
    error: type[AssistantError], tmp_path: Path, environment: dict[str, str], run: Callable, script: Callable
) -> None:
    done = SCENARIOS[error.code](World(tmp_path, environment, run, script))
    own = {each for each in every_error() if issubclass(each, error) and (each is error or each not in TREE)}
    assert any(f"{each.__module__}.{each.__name__}" in done.stderr for each in own), done.stderr[-1500:]
    assert done.returncode == error.exit_code, done.stderr[-1500:]
