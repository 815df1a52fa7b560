"""A document as an editor holds it, and the way a stock client uses the server on it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx2

from assistant.lines import line_starts, split_lines
from server.positions import Encoding, to_offset
from tests.server.editor_at_pipes import EGLOT, NEOVIM, VSCODE, Editor

BUGGY = '"""Zählen 𝒳."""\n\n\ndef gcd(a, b):\n    if b == 0:\n        return a\n    return gcd(a % b, b)\n'
FIXED = BUGGY.replace("gcd(a % b, b)", "gcd(b, a % b)")
REPLY = "def gcd(a, b):\n    if b == 0:\n        return a\n    return gcd(b, a % b)\n```\n"
CLIENTS: dict[str, tuple[dict[str, Any], Encoding]] = {
    "vscode": (VSCODE, "utf-16"),
    "neovim": (NEOVIM, "utf-8"),
    "eglot": (EGLOT, "utf-16"),
}
WHERE = {"start": {"line": 3, "character": 0}, "end": {"line": 6, "character": 24}}
_numbers = count(1)
PROBLEM = {"range": WHERE, "message": "RecursionError in gcd", "source": "pytest"}


class Buffer:
    """The document as the editor holds it; takes the server's edits and tells it of the result, as editors do."""

    def __init__(self, editor: Editor, path: Path, text: str, encoding: Encoding) -> None:
        self.editor, self.text, self.version, self.encoding = editor, text, 1, encoding
        self.uri = path.as_uri()
        self.edits: list[dict[str, Any]] = []
        editor.answers["workspace/applyEdit"] = self.apply
        editor.open(self.uri, text)

    def type(self, text: str) -> None:
        self.text, self.version = text, self.version + 1
        self.editor.change(self.uri, self.version, {"text": text})

    def apply(self, params: dict[str, Any]) -> dict[str, Any]:
        self.edits.append(params)
        edit = params["edit"]
        changes = edit["documentChanges"] if "documentChanges" in edit else [{"edits": edit["changes"][self.uri]}]
        version = changes[0].get("textDocument", {}).get("version", self.version)
        if version != self.version:
            return {"applied": False, "failureReason": "stale"}
        self.type(self._after(changes[0]["edits"]))
        return {"applied": True}

    def _after(self, edits: list[dict[str, Any]]) -> str:
        text = self.text
        for edit in sorted(edits, key=lambda each: tuple(each["range"]["start"].values()), reverse=True):
            start, end = (self._offset(text, edit["range"][edge]) for edge in ("start", "end"))
            text = text[:start] + edit["newText"] + text[end:]
        return text

    def _offset(self, text: str, position: dict[str, int]) -> int:
        lines = [*split_lines(text), ""]
        return line_starts(lines)[position["line"]] + to_offset(lines[position["line"]], position["character"], self.encoding)


def begin(editor: Editor, capabilities: dict[str, Any], model: str, settings: dict[str, Any] | None = None) -> None:
    settings = settings or {"model": model}
    editor.answers["window/workDoneProgress/create"] = lambda params: None
    editor.answers["window/showDocument"] = lambda params: {"success": True}
    editor.answers["workspace/configuration"] = lambda params: [settings]
    editor.answers["workspace/textDocumentContent/refresh"] = lambda params: None
    editor.answers["client/registerCapability"] = lambda params: None
    editor.initialize(capabilities, initializationOptions={"starchat": settings})


def code_actions(editor: Editor, uri: str, **context: Any) -> list[dict[str, Any]]:
    params = {"textDocument": {"uri": uri}, "range": WHERE, "context": {"diagnostics": [], **context}}
    return editor.request("textDocument/codeAction", params)["result"]


def ended(editor: Editor, result: dict[str, Any]) -> dict[str, Any]:
    """The end of a job whose reply came early: the end of its progress, or a message to a client without any."""
    if not result.get("running"):
        return result
    if editor.shows_progress:
        token = f"starchat-{result['job']}"
        end = editor.wait_for(
            lambda each: each.get("params", {}).get("token") == token and each["params"].get("value", {}).get("kind") == "end"
        )
        return {"job": result["job"], "reason": end["params"]["value"]["message"]}
    message = editor.wait_for(lambda each: each.get("method") == "window/showMessage")
    return {"job": result["job"], "reason": message["params"]["message"]}


def run(editor: Editor, name: str, argument: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run a command, with a token where the editor shows progress, and wait for its end."""
    params = command(name, argument, **({} if editor.shows_progress else {"workDoneToken": None}))
    return ended(editor, editor.request("workspace/executeCommand", params, 120)["result"])  # a busy machine loads slowly


def command(name: str, argument: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The parameters of a request whose reply comes at the end of the job."""
    token = f"token-{next(_numbers)}"
    return {"command": f"starchat.{name}", "arguments": [argument] if argument else [], "workDoneToken": token, **more}


def engine_is_idle(home: Path) -> bool:
    """Whether the one model host of this home has nothing to do."""
    with health_of(home) as health:
        now = health()
    return now["active"] == now["queued"] == 0


@contextmanager
def health_of(home: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """What the one model host of this home says of itself, as often as asked."""
    record = json.loads(next((home / "hosts").glob("*.json")).read_text())
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=record["socket"]), base_url="http://localhost") as http:
        yield lambda: http.get("/health").json()


def processes_of(home: Path) -> list[str]:
    """Command lines of the processes whose home this is."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"STARCHAT_HOME={home}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def end_hosts(home: Path) -> None:
    """End the model hosts of this home at once."""
    for record in (home / "hosts").glob("*.json"):
        with suppress(OSError, ValueError, KeyError):
            os.kill(int(json.loads(record.read_text())["pid"]), signal.SIGKILL)
