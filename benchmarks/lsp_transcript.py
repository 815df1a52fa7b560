"""What a stock client and the server say to each other while a bug is fixed: `python -m benchmarks.lsp_transcript [MODEL]`.

The client has no plugin: the capabilities are those that Neovim 0.11 was recorded to send, and every message is shown as it
goes over the pipes, with the seconds since the process was started; long parts are cut.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lsprotocol.converters import get_converter
from pytest_lsp import client_capabilities

from tests.server.buffer import Buffer, end_hosts
from tests.server.editor_at_pipes import Editor

TEXT = '"""Greatest common divisors."""\n\n\ndef gcd(a, b):\n    if b == 0:\n        return a\n    return gcd(a % b, b)\n'
LINE = {"start": {"line": 6, "character": 4}, "end": {"line": 6, "character": 24}}
PROBLEM = {"range": LINE, "message": "RecursionError: maximum recursion depth exceeded", "source": "pytest"}
LEFT_OUT = ("capabilities", "codeActionKinds", "commands")


class Shown(Editor):
    """An editor whose messages are printed, both ways."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.began = time.perf_counter()
        self.shown: list[dict[str, Any]] = []
        super().__init__(environment, folder)

    def put(self, body: bytes) -> None:
        self.tell("client", json.loads(body))
        super().put(body)

    def _bodies(self) -> Any:
        for body in super()._bodies():
            self.tell("server", json.loads(body))
            yield body

    def tell(self, who: str, message: dict[str, Any]) -> None:
        value = message.get("params", {}).get("value", {}) if message.get("method") == "$/progress" else {}
        if value.get("kind") == "report" and any(value == each for each in self.shown):
            return
        self.shown.append(value)
        text = json.dumps(_short({key: each for key, each in message.items() if key != "jsonrpc"}), ensure_ascii=False)
        print(f"{time.perf_counter() - self.began:6.2f} {'→' if who == 'client' else '←'} {text}", flush=True)


def main(model: str) -> None:
    """Start, open, ask for actions, run one, take it back, leave."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        editor = Shown({**os.environ, "STARCHAT_HOME": str(home), "STARCHAT_IDLE_MINUTES": "1"}, Path(folder))
        editor.answers["window/workDoneProgress/create"] = lambda params: None
        editor.answers["workspace/configuration"] = lambda params: [{"model": model}]
        capabilities = get_converter().unstructure(client_capabilities("neovim@v0.11.0"))
        editor.initialize(capabilities)
        buffer = Buffer(editor, Path("/project/gcd.py"), TEXT, "utf-8")
        context = {"diagnostics": [PROBLEM], "triggerKind": 1}
        params = {"textDocument": {"uri": buffer.uri}, "range": LINE, "context": context}
        actions = editor.request("textDocument/codeAction", params)["result"]
        fix = next(each["command"] for each in actions if each["kind"] == "quickfix.starchat")
        reply = editor.request("workspace/executeCommand", {"command": fix["command"], "arguments": fix["arguments"]})
        token = f"starchat-{reply['result']['job']}"
        editor.wait_for(lambda each: each.get("params", {}).get("token") == token and '"end"' in json.dumps(each), 280)
        print(buffer.text)
        editor.request("workspace/executeCommand", {"command": "starchat.undo", "arguments": []})
        editor.request("shutdown")
        editor.notify("exit")
        editor.process.wait(10)
        end_hosts(home)


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "…" if key in LEFT_OUT else _short(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_short(each) for each in value[:2]] + (["…"] if len(value) > 2 else [])
    return value


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "qwen2.5-coder-1.5b")
