"""Promise 8: a crash of the host costs one request."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from assistant import crashes
from assistant.client import Delta, Waiting
from assistant.errors import AssistantError, HostCrashed, HostError
from assistant.hosts import is_alive
from tests.hosting.scripted_host import answer, ask, client_of, first, record_of, script, until
from tests.scale import rounds

KILLS = rounds(200)


def test_pending_requests_hear_of_it_and_the_next_one_works(own_home: Path) -> None:
    rules = (
        {"match": "segv", "reply": "abc", "crash": "segv", "crash_after": 2, "delay_ms": 400},
        {"match": "abort", "reply": "abc", "crash": "abort", "crash_after": 2, "delay_ms": 400},
        {"match": "slow", "reply": "x" * 500, "delay_ms": 20},
    )

    async def round_of(number: int) -> None:
        # Only so many restarts are allowed for one host, so every five rounds are another's.
        spec = script(own_home, *rules, name=f"played{number // 5}")
        async with client_of(spec) as client:
            assert (await answer(client, ask("hi")))[0] == "ok"
            _, running = await first(client, ask(("slow", "segv", "abort")[number % 3]), Delta)
            _, queued = await first(client, ask("hi"), Waiting)
            if number % 3 == 0:
                os.kill(record_of(spec).pid, signal.SIGKILL)
            await asyncio.to_thread(until, lambda: not is_alive(spec.key), 5)
            begun = time.perf_counter()
            for stream in (running, queued):
                with pytest.raises(HostCrashed) as caught:
                    _ = [item async for item in stream]
                assert caught.value.remedy
            assert time.perf_counter() - begun < 1
            with pytest.raises(AssistantError):
                await answer(client, ask("hi"))
        async with client_of(spec) as client:
            assert (await answer(client, ask("hi")))[0] == "ok"

    async def lane(which: int) -> None:
        for number in range(KILLS):
            if number // 5 % 2 == which:
                await round_of(number)

    async def main() -> None:
        await asyncio.gather(lane(0), lane(1))  # each with hosts of its own, since all that they do is wait

    asyncio.run(main())


def test_a_host_that_keeps_dying_is_not_started_for_ever(own_home: Path) -> None:
    spec = script(own_home, kill="exit")

    async def attempt() -> str:
        with pytest.raises(HostError) as caught:
            async with client_of(spec):
                pass
        return str(caught.value)

    async def main() -> list[str]:
        return [await attempt() for _ in range(crashes.RESTARTS + 3)]

    said = asyncio.run(main())
    assert all("ended" in text or "did not start" in text for text in said[: crashes.RESTARTS + 1]), said
    assert all("not started again" in text and "Wait" in text for text in said[crashes.RESTARTS + 1 :]), said
