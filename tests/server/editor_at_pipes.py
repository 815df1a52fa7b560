"""An editor in a test: raw frames to the real server process, and everything that it sends kept."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).parents[2]

VSCODE: dict[str, Any] = {
    "general": {"positionEncodings": ["utf-16"]},
    "window": {"workDoneProgress": True, "showDocument": {"support": True}},
    "workspace": {
        "applyEdit": True,
        "configuration": True,
        "didChangeConfiguration": {"dynamicRegistration": True},
        "textDocumentContent": {"dynamicRegistration": True},
        "workspaceEdit": {
            "documentChanges": True,
            "resourceOperations": ["create", "rename", "delete"],
            "changeAnnotationSupport": {"groupsOnLabel": True},
        },
    },
    "textDocument": {
        "codeAction": {
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["", "quickfix", "refactor"]}},
            "disabledSupport": True,
            "dataSupport": True,
            "resolveSupport": {"properties": ["edit", "command"]},
            "tagSupport": {"valueSet": [1]},
        }
    },
}
NEOVIM: dict[str, Any] = {
    "general": {"positionEncodings": ["utf-8", "utf-16", "utf-32"]},
    "window": {"workDoneProgress": True, "showDocument": {"support": True}},
    "workspace": {"applyEdit": True, "configuration": True, "workspaceEdit": {"resourceOperations": ["rename", "create"]}},
    "textDocument": {
        "codeAction": {
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["", "quickfix"]}},
            "resolveSupport": {"properties": ["edit", "command"]},
        }
    },
}
EGLOT: dict[str, Any] = {
    "workspace": {"applyEdit": True, "workspaceEdit": {"documentChanges": True}},
    "textDocument": {"codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix", "refactor"]}}}},
}


class Editor:
    """A client that answers what the server asks by `answers`: method to a function of the parameters."""

    def __init__(self, environment: dict[str, str], folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "server", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
        )
        self.stderr = bytearray()
        self._prepare()
        threading.Thread(target=self._drain, daemon=True).start()

    def _prepare(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.replies: queue.Queue[dict[str, Any]] = queue.Queue()
        self.answers: dict[str, Callable[[Any], Any]] = {}
        self._early: dict[Any, dict[str, Any]] = {}
        self._number = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def raw(self, data: bytes) -> None:
        with self._lock:
            self.process.stdin.write(data)

    def send(self, message: dict[str, Any]) -> None:
        self.put(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def put(self, body: bytes) -> None:
        self.raw(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def notify(self, method: str, params: Any = None) -> None:
        self.send({"method": method, "params": params})

    def begin(self, method: str, params: Any = None) -> int:
        self._number += 1
        self.send({"id": self._number, "method": method, "params": params})
        return self._number

    def request(self, method: str, params: Any = None, seconds: float = 30) -> dict[str, Any]:
        return self.reply(self.begin(method, params), seconds)

    def reply(self, number: Any, seconds: float = 30) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while number not in self._early:
            message = self.replies.get(timeout=max(0.001, end - time.monotonic()))
            self._early[message["id"]] = message
        return self._early.pop(number)

    def initialize(self, capabilities: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
        params = {"processId": os.getpid(), "rootUri": None, "capabilities": capabilities or {}, **params}
        self.shows_progress = bool(params["capabilities"].get("window", {}).get("workDoneProgress"))
        answer = self.request("initialize", params)
        self.greeted = time.perf_counter()
        self.notify("initialized", {})
        return answer["result"]

    def open(self, uri: str, text: str, version: int = 1, language: str = "python") -> None:
        item = {"uri": uri, "languageId": language, "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def change(self, uri: str, version: int, *changes: dict[str, Any]) -> None:
        params = {"textDocument": {"uri": uri, "version": version}, "contentChanges": list(changes)}
        self.notify("textDocument/didChange", params)

    def wait_for(self, fits: Callable[[dict[str, Any]], bool], seconds: float = 20) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for message in list(self.heard):
                if fits(message):
                    return message
            time.sleep(0.005)
        raise AssertionError(f"not heard; heard {[message.get('method') for message in self.heard]}")

    def messages(self, method: str) -> list[dict[str, Any]]:
        return [message for message in self.heard if message.get("method") == method]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        for body in self._bodies():
            message = json.loads(body)
            if "method" not in message:
                self.replies.put(message)
                continue
            self.heard.append(message)
            if "id" in message and message["method"] in self.answers:
                result = self.answers[message["method"]](message["params"])
                failed = {"error": {"code": -32603, "message": str(result)}} if isinstance(result, Exception) else None
                self.send({"id": message["id"], **(failed or {"result": result})})

    def _bodies(self) -> Iterator[bytes]:
        yield from framed_bodies(os.fdopen(os.dup(self.process.stdout.fileno()), "rb"))

    def _drain(self) -> None:
        while data := self.process.stderr.read(4096):
            self.stderr += data


def framed_bodies(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while header := stream.readline():
            stream.readline()
            yield stream.read(int(header.split(b":")[1]))
