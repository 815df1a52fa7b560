"""A server of somebody else's, as a process: it answers as vLLM, Ollama or llama.cpp's server do, or fails as servers do.

    python foreign_server.py KIND ADDRESS LOG [FAULT]

prints its port.  Each request is written to LOG as a line of JSON.  What each kind says follows their documentation; none of
their code runs here.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MODEL = "team/coder-7b"
WINDOW = 4096
KEY = "sk-team-key"

ENTRIES: dict[str, dict[str, Any]] = {
    "vllm": {"owned_by": "vllm", "root": MODEL, "parent": None, "max_model_len": WINDOW, "permission": []},
    "ollama": {"owned_by": "library"},
    "llamacpp": {"owned_by": "llamacpp", "meta": {"n_vocab": 151936, "n_ctx_train": 32768, "n_params": 494032768}},
}
FIXED = "Here it is:\n```python\ndef add(a, b):\n    return a + b\n```\n"


class Foreign(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kind = fault = ""
    log: Path

    def do_GET(self) -> None:
        self.note(None)
        if self.fault == "silent":
            time.sleep(600)
        if self.refused():
            return
        if self.path == "/v1/models":
            entry = {"id": MODEL, "object": "model", "created": 1, **ENTRIES[self.kind]}
            self.send(200, {"object": "list", "data": [] if self.fault == "empty" else [entry]})
        elif self.path == "/version" and self.kind == "vllm":
            self.send(200, {"version": "0.20.0"})
        elif self.path == "/props" and self.kind == "llamacpp":
            self.send(200, {"default_generation_settings": {"n_ctx": WINDOW}, "total_slots": 1})
        else:
            self.lost()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.note(body)
        if self.refused():
            return
        if self.path == "/tokenize" and self.kind == "vllm":
            count = sum(len(one["content"]) // 4 + 4 for one in body["messages"])
            self.send(200, {"count": count, "max_model_len": WINDOW, "tokens": list(range(count))})
        elif self.path == "/tokenize" and self.kind == "llamacpp":
            self.send(200, {"tokens": []})  # it reads `content` only
        elif self.path == "/v1/chat/completions":
            self.chat(body)
        else:
            self.lost()

    def chat(self, body: dict[str, Any]) -> None:
        if body["model"] != MODEL:
            self.send(404, self.error(404, f'model "{body["model"]}" not found, try pulling it first'))
        elif sum(len(one["content"]) for one in body["messages"]) > 4 * WINDOW:
            self.send(400, self.error(400, f"This model's maximum context length is {WINDOW} tokens."))
        else:
            self.stream(body)

    def stream(self, body: dict[str, Any]) -> None:
        fix = any("def add" in one["content"] for one in body["messages"])
        prefilled = body["messages"][-1]["role"] == "assistant"
        begun = body["messages"][-1]["content"] if prefilled else ""
        text = (FIXED.partition("```python\n")[2] if begun.endswith("```python\n") else FIXED) if fix else "It is a list."
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        parts = [text[start : start + 7] for start in range(0, len(text), 7)]
        self.event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
        for number, part in enumerate(parts):
            if self.fault == "slow":
                time.sleep(0.3)
            if number == 1 and self.broken():
                return
            self.event({"choices": [{"index": 0, "delta": {"content": part}, "finish_reason": None}]})
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (body.get("stream_options") or {}).get("include_usage") and self.kind != "ollama":
            self.event({"choices": [], "usage": {"prompt_tokens": 21, "completion_tokens": 5, "total_tokens": 26}})
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def broken(self) -> bool:
        """Whether the stream breaks here, and how."""
        if self.fault == "cut":
            self.chunk(b'data: {"choices": [{"index"')
            self.connection.close()
        elif self.fault == "ended":
            self.chunk(b"")  # whole for HTTP, but nobody said why the reply is over
        elif self.fault == "garbage":
            self.chunk(b"data: <html>bad gateway</html>\n\n")
            self.chunk(b"")
        elif self.fault == "inside":
            self.event({"error": {"message": "CUDA out of memory", "type": "server_error", "code": 500}})
            self.chunk(b"")
        else:
            return False
        self.close_connection = True
        return True

    def refused(self) -> bool:
        """The failures of a server that comes to no answer."""
        asks = self.command == "POST" and self.path == "/v1/chat/completions"
        if self.fault == "key" and self.headers.get("authorization") != f"Bearer {KEY}":
            self.send(401, {"error": "Unauthorized"} if self.kind == "vllm" else self.error(401, "Invalid API Key"))
        elif self.fault in ("limit", "date") and asks:
            after = "17" if self.fault == "limit" else "Wed, 21 Oct 2026 07:28:00 GMT"
            self.send(429, self.error(429, "Rate limit reached"), ("retry-after", after))
        elif self.fault == "failing" and asks:
            self.send(500, b"<html><body><h1>500 Internal Server Error</h1></body></html>")
        elif self.fault == "html":
            self.send(200, b"<html>It works!</html>")
        else:
            return False
        return True

    def error(self, status: int, message: str) -> dict[str, Any]:
        """An error as this kind of server words it."""
        if self.kind == "vllm":
            return {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": status}
        code = status if self.kind == "llamacpp" else None
        return {"error": {"message": message, "type": "api_error", "param": None, "code": code}}

    def lost(self) -> None:
        self.send(404, b"404 page not found" if self.kind == "ollama" else {"detail": "Not Found"})

    def send(self, status: int, body: Any, *headers: tuple[str, str]) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "text/html" if isinstance(body, bytes) else "application/json")
        self.send_header("content-length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def event(self, value: dict[str, Any]) -> None:
        whole = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": MODEL, **value}
        self.chunk(f"data: {json.dumps(whole)}\n\n".encode())

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def note(self, body: Any) -> None:
        line = {"method": self.command, "path": self.path, "body": body, "key": self.headers.get("authorization")}
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def log_message(self, *_: object) -> None:
        pass


def main(kind: str, address: str, log: str, fault: str = "") -> None:
    Foreign.kind, Foreign.fault, Foreign.log = kind, fault, Path(log)
    server = ThreadingHTTPServer((address, 0), Foreign)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
