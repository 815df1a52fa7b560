"""The editors of `benchmarks.lsp`: made ready, asked, and looked at from outside."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.server.buffer import begin, command, run
from tests.server.editor_at_network import Served
from tests.server.editor_at_pipes import VSCODE, Editor


def ready(editor: Editor, home: Path, rule: dict[str, Any] | None, model: str = "") -> float:
    """Greet the server, have the model loaded, and let it read ahead what commands need; the greeting's CPU time in ms."""
    begin(editor, VSCODE, model or script(home, rule or {}))
    greeting = cpu_ms(editor)
    editor.open("file:///warm.py", "x = 1\n")
    editor.wait_for(lambda each: each.get("method") == "starchat/status" and each["params"]["state"] == "ready", 120)
    time.sleep(1.0)
    return greeting


def script(home: Path, rule: dict[str, Any], **keys: Any) -> str:
    """A scripted model with one rule; a name of its own for each rule."""
    path = home / f"script-{abs(hash(json.dumps(rule)))}.json"
    path.write_text(json.dumps({"context_length": 200_000, "rules": [rule], **keys}))
    return f"scripted:{path}"


def open_document(editor: Editor, name: str, text: str) -> str:
    """Open a text that lies on no disk; its URI."""
    uri = f"file:///bench/{name}"
    editor.open(uri, text)
    return uri


def fixed(editor: Editor, home: Path) -> None:
    """One question and one edit, so that everything that a session reads has been read."""
    editor.answers["workspace/applyEdit"] = lambda params: {"applied": True}
    settings = {"starchat": {"model": script(home, {"reply": "def half(a):\n    return a / 2\n```\n"})}}
    editor.answers["workspace/configuration"] = lambda params: [settings["starchat"]]
    editor.notify("workspace/didChangeConfiguration", {"settings": settings})
    assert run(editor, "fix", {"uri": "file:///bench/numbers.py"})["outcome"] == "applied"
    assert run(editor, "ask", {"question": "Why?"})["outcome"] == "answered"


def resident(editor: Editor) -> float:
    """MB of memory now."""
    lines = Path(f"/proc/{editor.process.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1000 * 1.024


def cpu_ms(editor: Editor) -> float:
    """Milliseconds of CPU time of all threads of the server: what a busy machine does not stretch."""
    tasks = Path(f"/proc/{editor.process.pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in tasks) / 1e6


@contextmanager
def at_host(home: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """What a busy host says of itself, as often as asked."""
    for record in (home / "hosts").glob("*.json"):
        address = json.loads(record.read_text())["socket"]
        with httpx2.Client(transport=httpx2.HTTPTransport(uds=address), base_url="http://localhost") as http:
            health = http.get("/health").json()
            if health["active"]:
                yield lambda: http.get("/health").json()
                return
    raise AssertionError("no host is busy")


class EchoEditors:
    """Many editors at one server; the model gives back what it is shown, the words of one editor."""

    def __init__(self, environment: dict[str, str], home: Path, count: int) -> None:
        self.own = self.foreign = 0
        self.longest = 0.0
        self._served = Served("tcp", environment, home)
        model = script(home, {"echo": True, "prefill_ms": 2}, slots=2)
        self._editors = [self._served.editor() for _ in range(count)]
        for name, editor in enumerate(self._editors):
            begin(editor, VSCODE, model)
            editor.open("file:///bench/same.py", f"canary_{name} = {name}\n")

    def ask(self, name: int, count: int) -> None:
        """So many questions of one editor, one after the other."""
        for number in range(count):
            argument = {"uri": "file:///bench/same.py", "question": f"canary_{name} number {number}?"}
            params = command("ask", argument)
            began = time.perf_counter()
            text = self._editors[name].request("workspace/executeCommand", params, 120)["result"].get("text", "")
            self.longest = max(self.longest, time.perf_counter() - began)
            seen = set(re.findall(r"canary_\d+", text))
            self.own += f"canary_{name}" in seen
            self.foreign += bool(seen - {f"canary_{name}"})

    def close(self) -> None:
        self._served.close()
