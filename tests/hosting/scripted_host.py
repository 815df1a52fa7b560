"""A real host process that plays a script, and ways to speak to it, polite and rude."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from assistant import address, hosts
from assistant.client import ChatRequest, Delta, Done, ModelClient, Waiting
from assistant.conversation import start
from assistant.host import connect
from assistant.models.spec import ModelSpec
from assistant.settings import Settings

SETTINGS = Settings(idle_minutes=2)


@contextmanager
def home() -> Iterator[Path]:
    """A `STARCHAT_HOME` of its own; no host outlives it."""
    folder = Path(tempfile.mkdtemp(prefix="sc-"))
    before = {name: os.environ.get(name) for name in ("STARCHAT_HOME", "STARCHAT_TRANSPORT")}
    os.environ["STARCHAT_HOME"] = str(folder)
    try:
        yield folder
        asyncio.run(end_all())
    finally:
        for key in address.known_keys():
            record = address.read(key)
            if record is not None and hosts.is_alive(key):
                os.kill(record.pid, signal.SIGKILL)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


async def end_all() -> None:
    for host in await hosts.running():
        with contextlib.suppress(OSError):
            os.kill(host.record.pid, signal.SIGTERM)
    for _ in range(200):
        if not await hosts.running():
            return
        await asyncio.sleep(0.02)


def script(folder: Path, *rules: dict[str, Any], name: str = "played", **keys: Any) -> ModelSpec:
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"rules": list(rules), **keys}))
    return ModelSpec(name, path, "scripted")


@asynccontextmanager
async def client_of(spec: ModelSpec, settings: Settings = SETTINGS) -> AsyncIterator[ModelClient]:
    client = await connect(spec, settings, lambda waiting: None)
    try:
        yield client
    finally:
        await client.close()


def ask(text: str, **options: Any) -> ChatRequest:
    return ChatRequest(start(text), **options)


async def answer(client: ModelClient, request: ChatRequest) -> tuple[str, Done]:
    text, done = "", None
    async for item in client.stream(request):
        if isinstance(item, Delta):
            text += item.text
        elif isinstance(item, Done):
            done = item
    assert done is not None
    return text, done


async def first(client: ModelClient, request: ChatRequest, kind: type[Delta | Waiting]) -> tuple[Any, AsyncIterator[Any]]:
    """The stream's first item of a kind, and the stream, still open."""
    items = client.stream(request)
    async for item in items:
        if isinstance(item, kind):
            return item, items
    raise AssertionError("the stream ended")


def record_of(spec: ModelSpec) -> address.HostRecord:
    record = address.read(spec.key)
    assert record is not None
    return record


def dial(spec: ModelSpec) -> socket.socket:
    """A bare connection to the host."""
    record = record_of(spec)
    if record.socket is None:
        return socket.create_connection(("127.0.0.1", record.port or 0), timeout=10)
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(10)
    until(lambda: _let_in(line, record.socket or ""), 10)
    return line


def _let_in(line: socket.socket, path: str) -> bool:
    """Whether the connection stands; for a moment more may wait to be let in than the system keeps."""
    try:
        line.connect(path)
    except BlockingIOError:
        return False
    return True


def post(path: str, body: Any, *headers: str) -> bytes:
    """The bytes of a request; a body that is not bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        f"content-length: {len(data)}",
        *headers,
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + data


def exchange(spec: ModelSpec, request: bytes) -> tuple[int, dict[str, str], Any]:
    """Send bytes, read one answer: status, headers, body (JSON where it is)."""
    with dial(spec) as line:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            line.sendall(request)
        raw = b""
        while b"\r\n\r\n" not in raw:
            part = line.recv(65536)
            if not part:
                break
            raw += part
        head, _, body = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        while len(body) < length:
            body += line.recv(65536)
    try:
        return int(status.split()[1]), headers, json.loads(body)
    except ValueError:
        return int(status.split()[1]), headers, body


def health(spec: ModelSpec) -> dict[str, Any]:
    return exchange(spec, b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")[2]


def chat(text: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **fields}


def until(condition: Callable[[], bool], seconds: float) -> float:
    """Seconds until the condition held; fails when it does not hold in time."""
    begun = time.perf_counter()
    while not condition():
        assert time.perf_counter() - begun < seconds, f"not within {seconds} s"
        time.sleep(0.002)
    return time.perf_counter() - begun
