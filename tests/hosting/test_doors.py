"""Promise 17: at the door of `assistant serve` nobody enters without a token, no web page ever, and nobody can block it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from assistant.models.spec import ModelSpec
from tests.hosting.scripted_host import chat, client_of, exchange, health, home, post, script, until
from tests.scale import SpinLoop, percentile, rounds

PROGRAM = str(Path(sys.executable).with_name("assistant"))
CANARY = "the-canary-sings"
CHATS = "/v1/chat/completions"
TOKENS = ("ada-" + "a1B2" * 8, "bob-" + "c3D4" * 8)


@dataclass(frozen=True)
class Served:
    spec: ModelSpec
    port: int
    process: subprocess.Popen[str]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with home() as folder:
        spec = played(folder, {"match": "slow", "reply": "x" * 500, "delay_ms": 20}, {"reply": CANARY})
        tokens = folder / "tokens"
        tokens.write_text("# who may\n" + "\n".join(TOKENS) + "\n")
        tokens.chmod(0o600)
        process, port = begin(spec, "--token-file", str(tokens))
        try:
            yield Served(spec, port, process)
        finally:
            process.kill()
            process.communicate()


def played(folder: Path, *rules: dict[str, object]) -> ModelSpec:
    """The spec that `-m scripted:FILE` makes."""
    return replace(script(folder, *rules, name="scripted"), device="cpu")


def begin(spec: ModelSpec, *options: str, host: str = "127.0.0.1") -> tuple[subprocess.Popen[str], int]:
    command = [PROGRAM, "serve", "-m", f"scripted:{spec.path}", "--port", "0", "--host", host, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert line.startswith("Serving scripted at http://"), (line, process.stderr.read() if process.poll() is not None else "")
    return process, int(line.rsplit(":", 1)[1].removesuffix("/v1\n"))


def at(port: int, request: bytes) -> tuple[int, bytes]:
    """Status and the rest of the answer at the door; 0 where the connection was closed without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        with contextlib.suppress(OSError):
            line.sendall(request)
        raw = b""
        with contextlib.suppress(OSError):
            while part := line.recv(65536):
                raw += part
                head, _, body = raw.partition(b"\r\n\r\n")
                length = [int(one[15:]) for one in head.lower().split(b"\r\n") if one.startswith(b"content-length:")]
                if length and len(body) >= length[0]:
                    break
    return (int(raw.split()[1]) if raw.startswith(b"HTTP/") else 0), raw


def request(
    port: int, *headers: str, method: str = "POST", path: str = CHATS, body: object = None, **usual: str | None
) -> bytes:
    """Bytes of a request that would be right, but for what `usual` and `headers` change; None leaves a header out."""
    data = json.dumps(chat("sing") if body is None else body).encode() if method == "POST" else b""
    fields: dict[str, str | None] = {
        "host": f"127.0.0.1:{port}",
        "authorization": f"Bearer {TOKENS[0]}",
        "content-type": "application/json",
        "content-length": str(len(data)),
        "connection": "close",
        **{name.replace("_", "-"): value for name, value in usual.items()},
    }
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, *headers])
    return head.encode("latin-1") + b"\r\n\r\n" + data


def wrong_token(dice: random.Random, port: int) -> bytes:
    right = dice.choice(TOKENS)
    place = dice.randrange(len(right))
    altered = f"{right[:place]}{chr(ord(right[place]) ^ 1)}{right[place + 1 :]}"
    tokens = [
        None, "", "Bearer", "Bearer ", "bearer null", "Basic " + right, right, f"Token {right}", f"Bearer {right[:-1]}",
        f"Bearer {right}x", f"Bearer {right.swapcase()}", f"Bearer {altered}",
        f"Bearer {right}, Bearer {right}", f"Bearer {right}\u00a0x", "Bearer " + "a" * dice.randrange(5000), "Bearer # who may",
        f"Bearer {dice.randbytes(32).hex()}",
    ]  # fmt: skip
    path = dice.choice(
        [CHATS, f"{CHATS}?api_key={right}", f"/v1/models?token={right}", "/health", "/tokenize", "/starchat/stop"]
    )
    extra = dice.choice([(), (f"x-api-key: {right}",), (f"cookie: token={right}",), (f"api-key: {right}",)])
    return request(port, *extra, authorization=dice.choice(tokens), path=path, method=dice.choice(["POST", "GET"]))


def wrong_host(dice: random.Random, port: int) -> bytes:
    name = dice.choice(
        ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.7", "127.0.0.1", "", "[::2]"]
    )
    host = dice.choice([f"{name}:{port}", f"{name}:{port + 1}"] + ([name] if name != "[::2]" else []))
    if host == f"127.0.0.1:{port}":
        host = f"evil@{host}"
    double = dice.random() < 0.2
    return request(port, *(("host: evil.example",) if double else ()), host=f"127.0.0.1:{port}" if double else host)


def foreign_origin(dice: random.Random, port: int) -> bytes:
    origin = dice.choice(["https://evil.example", "null", f"http://127.0.0.1:{port}", "http://localhost", "", "file://"])
    method = dice.choice(["POST", "GET", "OPTIONS"])
    return request(port, f"origin: {origin}", "access-control-request-method: POST", method=method)


def plain_post(dice: random.Random, port: int) -> bytes:
    kinds = [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
    ]
    return request(port, content_type=dice.choice(kinds))


def behind_the_door(dice: random.Random, port: int) -> bytes:
    """What our own programs may ask is not there for others, whatever their token."""
    path = dice.choice(
        ["/starchat/stop", "/starchat/serve", "//starchat/stop", "/v1/../starchat/stop", "/%73tarchat/stop", "/docs"]
    )
    body = {"host": "127.0.0.1", "port": 0, "tokens_sha256": ["0" * 64]}
    return request(port, path=path, body=body, method=dice.choice(["POST", "GET", "PUT"]))


def test_nobody_enters_who_may_not(served: Served) -> None:
    kinds: list[Callable[[random.Random, int], bytes]] = [wrong_token, wrong_host, foreign_origin, plain_post, behind_the_door]
    dice = random.Random(17)
    for number in range(rounds(2000)):
        asked = kinds[number % len(kinds)](dice, served.port)
        status, raw = at(served.port, asked)
        assert 400 <= status < 500 and CANARY.encode() not in raw, asked
        assert b"access-control" not in raw.lower(), asked
    assert health(served.spec)["status"] == "ok"


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.0.0.2"])
def test_those_who_may_do_enter(served: Served, token: str, host: str) -> None:
    status, raw = at(served.port, request(served.port, authorization=f"Bearer {token}", host=f"{host}:{served.port}"))
    assert status == 200 and CANARY.encode() in raw
    assert at(served.port, request(served.port, method="GET", path="/v1/models"))[0] == 200


ABSURD = [
    ({"n": 10**9}, "n"),
    ({"n": 2, "best_of": 10**9}, "n"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"stop": ["x"] * 10**5}, "stop"),
    ({"messages": "[" * 50_000}, "messages"),
    ({"messages": [{"role": "user", "content": "x" * 7_000_000}]}, None),
]


def test_nobody_blocks_the_door(served: Served) -> None:
    """Slow heads, endless headers, absurd numbers and bodies at once: the host answers its own user, and does not grow."""
    before = health(served.spec)["memory_bytes"]
    stop, ends = threading.Event(), []
    attackers = [
        threading.Thread(target=attack, args=(served.port, stop, ends)) for attack in (slow_heads, endless_headers, absurd)
    ]
    for attacker in attackers:
        attacker.start()
    waits, peak = [], before
    with SpinLoop() as spin:
        end = time.monotonic() + max(3.0, 60 * rounds(1000) / 1000)
        while time.monotonic() < end:
            begun = time.perf_counter()
            body = health(served.spec)
            waits.append(time.perf_counter() - begun)
            peak = max(peak, body["memory_bytes"])
            time.sleep(0.01)
    stop.set()
    for attacker in attackers:
        attacker.join()
    grown = peak - before
    print(f"health p99 {percentile(waits, 0.99):.4f} spin {spin.worst:.4f} growth {grown / 2**20:.1f} MiB, {len(ends)} attacks")
    assert percentile(waits, 0.99) <= 0.1 + 2 * spin.worst
    assert grown <= 50 * 2**20
    assert {kind for kind, _ in ends} == {"headers", "absurd"}
    assert all(400 <= status < 600 or status == 0 for _, status in ends)
    assert at(served.port, request(served.port))[0] in (200, 503)  # 503: the slow heads hold all connections for half a minute


def slow_heads(port: int, stop: threading.Event, _ends: list[tuple[str, int]]) -> None:
    lines = []
    while not stop.is_set():
        if len(lines) < 400:
            with contextlib.suppress(OSError):
                line = socket.create_connection(("127.0.0.1", port), timeout=1)
                line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: ")
                lines.append(line)
        for line in lines[:: max(1, len(lines) // 20)]:
            with contextlib.suppress(OSError):
                line.sendall(b"x")
        time.sleep(0.01)
    for line in lines:
        line.close()


def endless_headers(port: int, stop: threading.Event, ends: list[tuple[str, int]]) -> None:
    while not stop.is_set():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            with contextlib.suppress(OSError):
                line.sendall(b"GET /health HTTP/1.1\r\n")
                for _ in range(1024):  # of 1 MB each, if it were let
                    line.sendall(b"x-long: " + b"y" * 2**20 + b"\r\n")
            raw = b""
            with contextlib.suppress(OSError):
                raw = line.recv(65536)
            ends.append(("headers", int(raw.split()[1]) if raw else 0))


def absurd(port: int, stop: threading.Event, ends: list[tuple[str, int]]) -> None:
    number = 0
    while not stop.is_set():
        fields, _ = ABSURD[number % len(ABSURD)]
        number += 1
        with contextlib.suppress(OSError):
            ends.append(("absurd", at(port, request(port, body={**chat("sing"), **fields}))[0]))
            huge = request(port, content_length=str(2**40))
            ends.append(("absurd", at(port, huge)[0]))


def test_absurd_numbers_are_refused_by_name(served: Served) -> None:
    until(lambda: at(served.port, request(served.port))[0] == 200, 60)  # the slow heads above have been cut off
    for fields, name in ABSURD:
        status, raw = at(served.port, request(served.port, body={**chat("sing"), **fields}))
        assert status == 400 and (name is None or f"`{name}`".encode() in raw), fields


def test_the_door_is_shown_and_closes_with_its_process(served: Served) -> None:
    process, port = begin(served.spec)
    assert sorted(health(served.spec)["serves"]) == sorted([f"127.0.0.1:{served.port}", f"127.0.0.1:{port}"])
    shown = subprocess.run([PROGRAM, "status"], capture_output=True, text=True).stdout
    assert f"127.0.0.1:{port}" in shown
    process.kill()
    process.communicate()
    until(lambda: health(served.spec)["serves"] == [f"127.0.0.1:{served.port}"], 10)
    until(lambda: refuses(port), 10)


def test_ctrl_c_ends_it_and_leaves_the_host(served: Served) -> None:
    process, port = begin(served.spec)
    assert "Token, shown once: " in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.strip()) == (0, "assistant: No longer serving.")
    until(lambda: refuses(port), 10)
    assert health(served.spec)["status"] == "ok"


def test_another_address_comes_with_a_warning(served: Served) -> None:
    process, port = begin(served.spec, host="0.0.0.0")
    try:
        token = process.stdout.readline().rsplit(" ", 1)[1].strip()
        warning = process.stderr.readline()
        assert "not encrypted" in warning and warning.startswith("assistant: Warning")
        for host, status in ((f"10.1.2.3:{port}", 200), (f"{socket.gethostname()}:{port}", 200), (f"evil.example:{port}", 403)):
            assert at(port, request(port, authorization=f"Bearer {token}", host=host))[0] == status
    finally:
        process.kill()
        process.communicate()


def test_a_door_outlives_a_crash_of_the_host_and_not_its_stop() -> None:
    with home() as folder:
        spec = played(folder, {"match": "die", "reply": "x", "crash": "kill"}, {"reply": CANARY})
        process, port = begin(spec)
        try:
            token = process.stdout.readline().rsplit(" ", 1)[1].strip()
            sing = request(port, authorization=f"Bearer {token}")
            assert at(port, sing)[0] == 200
            at(port, request(port, authorization=f"Bearer {token}", body=chat("die")))
            until(lambda: not refuses(port) and at(port, sing)[0] == 200, 30)
            subprocess.run([PROGRAM, "stop", "--all"], capture_output=True, check=True)
            _, errors = process.communicate(timeout=20)
            assert process.returncode == 0
            assert "died; starting another" in errors and errors.strip().endswith("The model host was stopped.")
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        (["--port", "{taken}"], "is in use", 2),
        (["--host", "no.such.host.invalid"], "no address of this machine", 2),
        (["--host", "203.0.113.7"], "not to be had", 2),
        (["--port", "65536"], "65535", 2),
        (["--port", "http"], "65535", 2),
        (["--token-file", "{open}"], "chmod 600", 3),
        (["--token-file", "{short}"], "at least 20 characters", 3),
        (["--token-file", "{binary}"], "no token", 3),
        (["--token-file", "/no/such/folder/tokens"], "cannot be used", 7),
        (["--endpoint", "http://127.0.0.1:{port}"], "", 8),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line(
    served: Served, tmp_path: Path, options: list[str], said: str, code: int
) -> None:
    files = {"open": b"x" * 40, "short": b"abc", "binary": "ü".encode() * 40}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o644 if name == "open" else 0o600)
    places = {name: str(tmp_path / name) for name in files}
    given = [option.format(taken=served.port, port=served.port, **places) for option in options]
    ended = subprocess.run(
        [PROGRAM, "serve", "-m", f"scripted:{served.spec.path}", "--port", "0", *given],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == code and said in ended.stderr and "Traceback" not in ended.stderr, ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1 or "usage:" in ended.stderr


def test_a_token_file_is_made_for_its_owner_alone(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "made"
    process, port = begin(served.spec, "--token-file", str(file))
    try:
        token = file.read_text().strip()
        assert file.stat().st_mode & 0o777 == 0o600 and len(token) > 40
        assert token not in process.stdout.readline() + process.stdout.readline()
        assert at(port, request(port, authorization=f"Bearer {token}"))[0] == 200
    finally:
        process.kill()
        process.communicate()


def test_doors_are_opened_by_our_own_programs_alone_and_with_sense(served: Served) -> None:
    right = {"host": "127.0.0.1", "port": 0, "tokens_sha256": ["0" * 64]}
    for field, value in (
        ("host", 7),
        ("host", ""),
        ("port", -1),
        ("port", "x"),
        ("tokens_sha256", []),
        ("tokens_sha256", ["X" * 64]),
    ):
        status, _, body = exchange(served.spec, post("/starchat/serve", {**right, field: value}))
        assert status == 400 and f"`{field}`" in body["error"]["message"]


def test_a_host_that_serves_does_not_end_as_idle() -> None:
    from assistant.settings import Settings

    with home() as folder:
        spec = played(folder, {"reply": CANARY})

        async def served_for(seconds: float) -> None:
            async with client_of(spec, Settings(idle_minutes=0.02)) as client:
                events = client.serve("127.0.0.1", 0, ["0" * 64])
                await anext(events)
                await asyncio.sleep(seconds)
                assert (await client.health())["status"] == "ok"
                await events.aclose()

        asyncio.run(served_for(3))


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False
