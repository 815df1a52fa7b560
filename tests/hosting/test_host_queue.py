"""Promises 4, 6 and 7: a client that leaves frees the engine; the host is never deaf; the queue has an end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assistant.client import Delta, Done, ModelClient, Waiting
from assistant.errors import HostBusy
from assistant.models.spec import ModelSpec
from tests.hosting.scripted_host import (
    answer,
    ask,
    chat,
    client_of,
    dial,
    exchange,
    first,
    health,
    post,
    record_of,
    script,
    until,
)
from tests.scale import SpinLoop, percentile, rounds

CHATS = "/v1/chat/completions"
SLOW = {"match": "slow", "reply": "x" * 3000, "delay_ms": 5}
STUCK = {"match": "prefill", "reply": "x", "prefill_ms": 60_000}


def started(spec: ModelSpec) -> None:
    async def main() -> None:
        async with client_of(spec):
            pass

    asyncio.run(main())


def descriptors(spec: ModelSpec) -> int:
    return len(list(Path(f"/proc/{record_of(spec).pid}/fd").iterdir()))


def reset(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


CALLER = """
import socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
line.sendall(sys.stdin.buffer.read())
print(line.recv(10), flush=True)
sys.stdin.close(); line.recv(10**9)
while line.recv(10**6): pass
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_a_client_that_leaves_frees_the_engine(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARCHAT_TRANSPORT", "tcp")  # a Unix socket knows no RST
    spec = script(own_home, SLOW, STUCK)
    started(spec)
    monkeypatch.delenv("STARCHAT_TRANSPORT")
    record = record_of(spec)
    headers = (f"authorization: Bearer {record.token}",)

    def request(number: int) -> bytes:
        body = chat(("slow", "prefill")[number % 2], stream=number % 4 < 2)
        return post(CHATS, body, *headers).replace(b"host: localhost", f"host: 127.0.0.1:{record.port}".encode())

    def health_request() -> bytes:
        return f"GET /health HTTP/1.1\r\nhost: 127.0.0.1:{record.port}\r\n{headers[0]}\r\n\r\n".encode()

    def load() -> tuple[int, int]:
        told = exchange(spec, health_request())[2]
        return told["active"], told["queued"]

    before, tasks, waits = descriptors(spec), exchange(spec, health_request())[2]["tasks"], []
    with SpinLoop() as machine:
        for number in range(rounds(1000)):
            running, queued = dial(spec), dial(spec)
            running.sendall(request(number))
            until(lambda: load() == (1, 0), 2)
            queued.sendall(request(number + 1))
            until(lambda: load() == (1, 1), 2)
            leave = (socket.socket.close, reset)[number // 4 % 2]
            leave(queued)
            waits.append(until(lambda: load() == (1, 0), 2))
            leave(running)
            waits.append(until(lambda: load() == (0, 0), 2))
    print(f"slot free p99 {percentile(waits, 0.99):.4f} spin {machine.worst:.4f}")
    assert percentile(waits, 0.99) <= 0.2 + machine.worst, percentile(waits, 0.99)
    until(lambda: descriptors(spec) <= before, 2)
    until(lambda: exchange(spec, health_request())[2]["tasks"] <= tasks, 2)


def test_a_client_that_is_killed_frees_the_engine(own_home: Path) -> None:
    spec = script(own_home, SLOW, STUCK)
    started(spec)
    for number in range(max(3, rounds(60))):
        caller = subprocess.Popen(
            [sys.executable, "-c", CALLER, record_of(spec).socket or ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert caller.stdin and caller.stdout
        caller.stdin.write(post(CHATS, chat("slow" if number % 2 else "prefill", stream=True)))
        caller.stdin.close()
        assert caller.stdout.readline().startswith(b"b'HTTP/1.1")
        caller.kill()
        killed = time.perf_counter()
        caller.wait()
        until(lambda: health(spec)["active"] == 0, 2)
        assert time.perf_counter() - killed < 0.5
        caller.stdout.close()


def test_closing_the_iterator_stops_the_model(own_home: Path) -> None:
    spec = script(own_home, SLOW, STUCK)

    async def main() -> None:
        async with client_of(spec) as client:
            for _ in range(rounds(200)):
                for text, kind in (("slow", Delta), ("prefill", Waiting)):
                    _, stream = await first(client, ask(text), kind)
                    await stream.aclose()
                    await quiet(client)
                    task = asyncio.create_task(answer(client, ask(text)))
                    await asyncio.sleep(0.03)
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
                    await quiet(client)

    asyncio.run(main())


async def quiet(client: ModelClient) -> None:
    begun = time.perf_counter()
    while (await client.health())["active"]:
        assert time.perf_counter() - begun < 0.5
        await asyncio.sleep(0.002)


async def crowd(client: ModelClient, size: int, text: str) -> list[object]:
    """So many open streams."""
    return [(await first(client, ask(text, client=f"editor-{number}"), Waiting))[1] for number in range(size)]


def test_the_33rd_waiting_request_is_refused_at_once(own_home: Path) -> None:
    spec = script(own_home, STUCK, SLOW)

    async def main() -> None:
        async with client_of(spec) as client:
            streams = await crowd(client, 33, "prefill")
            assert (await client.health())["queued"] == 32
            memory, waits = (await client.health())["memory_bytes"], []
            with SpinLoop() as machine:
                for _ in range(rounds(2000)):
                    begun = time.perf_counter()
                    with pytest.raises(HostBusy) as caught:
                        await answer(client, ask("x"))
                    waits.append(time.perf_counter() - begun)
                    assert caught.value.retry_after > 0 and caught.value.remedy
            print(f"refused p90 {percentile(waits, 0.9):.4f} spin {machine.worst:.4f}")
            assert percentile(waits, 0.9) <= 0.05 + machine.worst
            assert (await client.health())["memory_bytes"] - memory < 5 * 2**20
            status, headers, _ = await asyncio.to_thread(exchange, spec, post(CHATS, chat("x")))
            assert status == 429 and int(headers["retry-after"]) > 0
            await streams.pop().aclose()
            await asyncio.sleep(0.05)
            streams.append((await first(client, ask("prefill"), Waiting))[1])
            for stream in streams:
                await stream.aclose()
            await quiet(client)
            assert (await answer(client, ask("x")))[0] == "ok"

    asyncio.run(main())


def test_health_and_cancel_are_quick_with_the_queue_full(own_home: Path) -> None:
    long = {"match": "long", "reply": " ".join(map(str, range(20_000))), "delay_ms": 1}  # longer than this takes
    spec = script(own_home, long, SLOW, context_length=120_000)

    async def main() -> None:
        async with client_of(spec) as client:
            streams = await crowd(client, 32, "long")
            asks, cancels = [], []
            with SpinLoop() as machine:
                for _ in range(rounds(1000)):
                    begun = time.perf_counter()
                    await client.health()
                    asks.append(time.perf_counter() - begun)
                    queued = asyncio.create_task(anext(client.stream(ask("slow"))))
                    await asyncio.to_thread(until, lambda: health(spec)["queued"] > 31, 2)
                    begun = time.perf_counter()
                    queued.cancel()
                    await asyncio.to_thread(until, lambda: health(spec)["queued"] <= 31, 2)
                    cancels.append(time.perf_counter() - begun)
                    with contextlib.suppress(asyncio.CancelledError):
                        await queued
            print(
                f"health p99 {percentile(asks, 0.99):.4f} cancel p99 {percentile(cancels, 0.99):.4f} spin {machine.worst:.4f}"
            )
            assert percentile(asks, 0.99) <= 0.1 + machine.worst, (percentile(asks, 0.99), machine.worst)
            assert percentile(cancels, 0.99) <= 0.1 + machine.worst, (percentile(cancels, 0.99), machine.worst)
            for stream in streams:
                await stream.aclose()

    asyncio.run(main())


def test_eight_clients_at_once_are_all_served_fairly(own_home: Path) -> None:
    spec = script(own_home, {"echo": True, "delay_ms": 1})
    served: list[int] = []

    async def editor(client: ModelClient, number: int, requests: int) -> None:
        for turn in range(requests):
            canary = f"canary-{number}-{turn}-{'z' * 30}"
            text, done = await answer(client, ask(canary, client=f"editor-{number}"))
            assert text == canary and done.finish_reason == "stop"
            served.append(number)

    async def main() -> None:
        async with client_of(spec) as client:
            await asyncio.gather(*(editor(client, number, 4) for number in range(8)))

    asyncio.run(main())
    assert sorted(served) == sorted(list(range(8)) * 4)
    for turn in range(4):
        # Everyone is served once before anyone is served twice more.
        assert max(served[: 8 * (turn + 1)].count(number) for number in range(8)) <= turn + 2


def test_the_urgent_overtake(own_home: Path) -> None:
    spec = script(own_home, {"match": "hold", "reply": "x", "prefill_ms": 400}, {"reply": "y"})
    order: list[str] = []

    async def one(client: ModelClient, urgency: str) -> None:
        await answer(client, ask("go", urgency=urgency))
        order.append(urgency)

    async def main() -> None:
        async with client_of(spec) as client:
            holding = asyncio.create_task(answer(client, ask("hold")))
            await asyncio.sleep(0.15)
            tasks = []
            for urgency in ("edit", "chat", "completion"):
                tasks.append(asyncio.create_task(one(client, urgency)))
                await asyncio.sleep(0.03)
            await asyncio.gather(holding, *tasks)

    asyncio.run(main())
    assert order == ["completion", "chat", "edit"]


def test_signs_of_life_come_while_a_request_waits(own_home: Path) -> None:
    spec = script(own_home, {"match": "prefill", "reply": "x", "prefill_ms": 2500}, {"reply": "y"})

    async def main() -> None:
        async with client_of(spec) as client:
            _, stream = await first(client, ask("prefill"), Waiting)
            begun = last = time.perf_counter()
            states: list[str] = []
            async for item in client.stream(ask("x")):
                now = time.perf_counter()
                assert now - last < 2
                last = now
                if isinstance(item, Waiting):
                    states.append(item.state)
                    assert now - begun > 0.2 or item.ahead == 0
            assert states.count("queued") >= 2 and states[-1] == "reading"
            rest = [item async for item in stream]
            assert [item.state for item in rest if isinstance(item, Waiting)].count("reading") >= 2
            assert isinstance(rest[-1], Done)

    asyncio.run(main())


def test_a_client_that_does_not_read_holds_no_slot(own_home: Path) -> None:
    spec = script(own_home, {"match": "long", "reply": "x" * 3500}, {"reply": "y"})
    started(spec)
    with dial(spec) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(post(CHATS, chat("long", stream=True)))
        until(lambda: health(spec)["active"] == 0, 5)
        assert exchange(spec, post(CHATS, chat("short")))[0] == 200
