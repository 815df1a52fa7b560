"""No bytes end the server, silence it or put it out of step: mutated frames and bodies over every transport."""

from __future__ import annotations

import json
import queue
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from tests.scale import SpinLoop, rounds
from tests.server.editor_at_network import Served
from tests.server.editor_at_pipes import Editor

GROWTH_KB = 20_000


def resident(process: int) -> int:
    """Kilobytes of memory, where the system tells."""
    status = Path(f"/proc/{process}/status")
    lines = status.read_text().splitlines() if status.exists() else ["VmRSS: 0 kB"]
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))


def settle(process: int) -> None:
    """Wait until it computes nothing for a moment: at first it reads ahead what commands need."""
    spent, end = -1.0, time.monotonic() + 20
    while (now := computed(process)) != spent and time.monotonic() < end:
        spent = now
        time.sleep(0.25)


def computed(process: int) -> float:
    """Clock ticks of work, where the system tells."""
    status = Path(f"/proc/{process}/stat")
    return sum(map(int, status.read_text().rpartition(")")[2].split()[11:13])) if status.exists() else 0.0


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("mutations")
    return {"STARCHAT_HOME": str(folder / "home"), "STARCHAT_CACHE": str(folder / "cache"), "PATH": "/usr/bin:/bin"}


@pytest.fixture
def served(environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    served = Served(request.param, environment, tmp_path)
    yield served
    assert served.close() == 0


def test_over_stdio(environment: dict[str, str], tmp_path: Path) -> None:
    editor = Editor(environment, tmp_path)
    editor.initialize()
    rave(editor, rounds(100_000))
    editor.close()


@pytest.mark.parametrize("served", ["tcp"], indirect=True)
def test_over_tcp(served: Served) -> None:
    rave(greeted(served), rounds(100_000))


@pytest.mark.parametrize("served", ["ws"], indirect=True)
def test_over_websocket(served: Served) -> None:
    """A wrong WebSocket frame may end its connection, or swallow what follows it there; the next connection must do."""
    rave(greeted(served), rounds(50_000), frames=False)
    before, chance, editor = resident(served.process.pid), random.Random(455), greeted(served)
    slowest = 0.0
    with SpinLoop() as loop:
        for number in range(rounds(50_000)):
            try:
                editor.raw(mutated(Frame(Opcode.TEXT, request(number)).serialize(mask=True), chance))
                if number % 10 < 9:
                    continue
                editor.request("starchat/ping", {}, 0.03)
            except (OSError, ConnectionClosed, queue.Empty):
                editor.close()
                editor = greeted(served)
                slowest = max(slowest, ping(editor))
    assert served.process.poll() is None
    assert resident(served.process.pid) - before < GROWTH_KB
    assert slowest < 1 + 10 * loop.worst


def rave(editor: Editor, count: int, *, frames: bool = True) -> None:
    """Requests with a few bytes changed: half of them in the body, half anywhere in the frame."""
    chance = random.Random(20260)
    ping(editor)
    settle(editor.process.pid)
    before, slowest = resident(editor.process.pid), 0.0
    with SpinLoop() as loop:
        for number in range(count):
            body = request(number)
            if number % 2 or not frames:
                editor.put(mutated(body, chance))
            else:
                editor.raw(mutated(b"Content-Length: %d\r\n\r\n%s" % (len(body), body), chance))
            if number % 10 == 9:
                slowest = max(slowest, ping(editor))
    assert editor.process.poll() is None
    assert resident(editor.process.pid) - before < GROWTH_KB
    assert slowest < 1 + 10 * loop.worst


def request(number: int) -> bytes:
    message = {"jsonrpc": "2.0", "id": f"m{number}", "method": "starchat/ping", "params": {"x": "Häuser" * 5}}
    return json.dumps(message).encode()


def mutated(good: bytes, chance: random.Random) -> bytes:
    bad = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(bad))
        bad[place : place + chance.randint(0, 3)] = bytes(chance.randrange(256) for _ in range(chance.randint(0, 3)))
    return bytes(bad)


def ping(editor: Editor) -> float:
    """Seconds until an answer."""
    began = time.monotonic()
    assert editor.request("starchat/ping", {}, 20)["result"] == {"ok": True}
    return time.monotonic() - began


def greeted(served: Served) -> Editor:
    editor = served.editor()
    editor.initialize()
    return editor
