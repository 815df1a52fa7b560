"""A brief completion runs between two steps of a stream that is under way, and takes nobody more than a fair share."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from assistant.hosting.lane import Lane
from assistant.hosting.scheduler import Scheduler
from tests.hosting.torch_streaming import engine, run
from tests.tiny_models import tiny

Work = Callable[[Callable[[], bool]], Iterator[object]]


async def take(scheduler: Scheduler, work: Work, *, brief: bool = False, urgency: str = "chat") -> list[object]:
    with scheduler.admit("", "completion" if brief else urgency, brief=brief) as ticket:  # type: ignore[arg-type]
        async for _ in scheduler.turn(ticket, 0.02):
            pass
        return [item async for item in scheduler.run(ticket, work, 60) if item is not None]


async def idle(scheduler: Scheduler) -> None:
    for _ in range(20_000):
        if not scheduler.active:
            return
        await asyncio.sleep(0.001)


def steps(log: list[str], name: str, count: int, seconds: float = 0.002) -> Work:
    def work(cancelled: Callable[[], bool]) -> Iterator[object]:
        for number in range(count):
            if cancelled():
                log.append(f"{name} cancelled")
                return
            time.sleep(seconds)
            log.append(name)
            yield number

    return work


def opened(*, interleaves: bool = True) -> Scheduler:
    scheduler = Scheduler()
    scheduler.open_slots(1, interleaves=interleaves)
    return scheduler


@pytest.mark.parametrize("interleaves", [True, False])
def test_a_brief_completion_goes_between_two_steps_where_the_engine_can(interleaves: bool) -> None:
    async def main() -> None:
        scheduler, log = opened(interleaves=interleaves), []
        chat = asyncio.create_task(take(scheduler, steps(log, "chat", 60)))
        await asyncio.sleep(0.03)
        assert await take(scheduler, steps(log, "brief", 3), brief=True) == [0, 1, 2]
        assert await chat == list(range(60))
        assert ("chat" in log[log.index("brief") :]) is interleaves
        assert log.count("chat") == 60
        assert (scheduler.active, scheduler.queued) == (0, 0)

    asyncio.run(main())


def test_only_brief_completions_overtake() -> None:
    async def main() -> None:
        scheduler, log = opened(), []
        chat = asyncio.create_task(take(scheduler, steps(log, "chat", 40)))
        await asyncio.sleep(0.02)
        await asyncio.gather(
            take(scheduler, steps(log, "long", 2), urgency="completion"), take(scheduler, steps(log, "edit", 2), urgency="edit")
        )
        await chat
        assert log == ["chat"] * 40 + ["long"] * 2 + ["edit"] * 2

    asyncio.run(main())


def test_a_flood_of_completions_leaves_a_third_to_the_stream() -> None:
    async def main() -> None:
        scheduler, log = opened(), []
        began = time.monotonic()
        chat = asyncio.create_task(take(scheduler, steps(log, "chat", 50, 0.004)))
        await asyncio.sleep(0.01)
        flood = [asyncio.create_task(take(scheduler, steps(log, "brief", 5, 0.004), brief=True)) for _ in range(25)]
        await chat
        took = time.monotonic() - began
        await asyncio.gather(*flood)
        before = log[: len(log) - log[::-1].index("chat")]
        assert 5 <= before.count("brief") <= 2 * 50 + 10, "guests took more than twice what the stream had"
        assert log.count("brief") == 125
        assert took < 30

    asyncio.run(main())


def test_a_guest_that_comes_at_the_last_moment_takes_the_slot_over() -> None:
    async def main() -> None:
        scheduler = opened()
        for number in range(60):
            log: list[str] = []
            chat = asyncio.create_task(take(scheduler, steps(log, "chat", 3, 0.001)))
            await asyncio.sleep(0.0005 * (number % 12))
            async with asyncio.timeout(20):
                assert await take(scheduler, steps(log, "brief", 2, 0.0005), brief=True) == [0, 1]
                await chat
        await asyncio.sleep(0.05)
        assert (scheduler.active, scheduler.queued) == (0, 0)

    asyncio.run(main())


def test_who_leaves_frees_the_place_whenever_it_is() -> None:
    async def main() -> None:
        scheduler = opened()
        for number in range(60):
            log: list[str] = []
            chat = asyncio.create_task(take(scheduler, steps(log, "chat", 100, 0.0005)))
            await asyncio.sleep(0.002)
            brief = asyncio.create_task(take(scheduler, steps(log, "brief", 100, 0.0005), brief=True))
            await asyncio.sleep(0.0007 * (number % 15))
            (chat if number % 2 else brief).cancel()
            async with asyncio.timeout(20):
                await asyncio.gather(chat, brief, return_exceptions=True)
                await idle(scheduler)
            assert log.count("brief" if number % 2 else "chat") == 100
        assert scheduler.queued == 0

    asyncio.run(main())


def test_an_error_of_a_guest_is_its_own() -> None:
    async def main() -> None:
        scheduler, log = opened(), []

        def broken(cancelled: Callable[[], bool]) -> Iterator[object]:
            yield 1
            raise ZeroDivisionError

        chat = asyncio.create_task(take(scheduler, steps(log, "chat", 40)))
        await asyncio.sleep(0.02)
        with pytest.raises(ZeroDivisionError):
            await take(scheduler, broken, brief=True)
        assert await chat == list(range(40))
        assert scheduler.active == 0

    asyncio.run(main())


def test_a_lane_takes_one_guest_at_a_time_in_the_streams_own_thread() -> None:
    lane, seen = Lane(), []
    lane.send(lambda: seen.append(threading.current_thread()))
    worker = threading.Thread(target=lane.pause)
    worker.start()
    worker.join()
    assert seen == [worker]
    lane.taken = True
    assert not lane.open()


@pytest.mark.parametrize("architecture", ["gpt_bigcode", "starcoder2"])
@pytest.mark.parametrize("moment", [1, 3, 8, 20])
def test_the_torch_engine_lets_a_completion_in_between_chunks_and_steps(architecture: str, moment: int) -> None:
    """The guest runs inside the question whether to stop; both replies are those that each gives alone."""
    prompt, short = [40 + 17 * number % 200 for number in range(50)], [90 + number % 30 for number in range(20)]
    expected = run(engine(tiny(architecture)), prompt, 30).ids, run(engine(tiny(architecture)), short, 8).ids
    opened, asked, guest = engine(tiny(architecture), chunk=8), [0], []

    def cancelled() -> bool:
        asked[0] += 1
        if asked[0] == moment:
            guest.append(run(opened, short, 8).ids)
        return False

    assert opened.info.interleaves
    assert (run(opened, prompt, 30, cancelled=cancelled).ids, guest) == (expected[0], [expected[1]])
    assert opened._running == 0
