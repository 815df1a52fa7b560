from __future__ import annotations

import asyncio
import random
import threading
import time
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.errors import HostBusy, HostError
from assistant.hosting.fair_queue import PATIENCE, Entry, FairQueue
from assistant.hosting.scheduler import OUTSIDE_LIMIT, WAITING_LIMIT, Scheduler
from tests.scale import rounds

URGENCIES = st.sampled_from(("completion", "chat", "edit"))


@given(st.lists(st.one_of(st.none(), st.tuples(st.sampled_from("abcd"), URGENCIES)), max_size=200))
def test_nobody_waits_for_more_than_three_fair_shares(steps: list[tuple[str, str] | None]) -> None:
    queue, turns = FairQueue(), 0
    came: dict[Entry, int] = {}
    for step in [*steps, *[None] * len(steps)]:
        if step is not None:
            came[queue.push(*step)] = turns
            continue
        entry = queue.pop()
        if entry is not None:
            turns += 1
            assert turns - came.pop(entry) <= 3 * entry.share
    assert not came


def test_the_urgent_go_first_and_clients_take_turns() -> None:
    queue = FairQueue()
    queue.push("hog", "chat")
    queue.pop()
    for client, urgency in (("hog", "chat"), ("hog", "chat"), ("other", "chat"), ("hog", "edit"), ("hog", "completion")):
        queue.push(client, urgency)
    order = [queue.pop() for _ in range(5)]
    assert [(entry.client, entry.urgency) for entry in order if entry] == [
        ("hog", "completion"),
        ("other", "chat"),
        ("hog", "chat"),
        ("hog", "chat"),
        ("hog", "edit"),
    ]
    assert queue.pop() is None


def test_ahead_counts_who_goes_first() -> None:
    queue = FairQueue()
    entries = [queue.push(client, "chat") for client in "abc"]
    assert [queue.ahead(entry) for entry in entries] == [0, 1, 2]
    urgent = queue.push("d", "completion")
    assert [queue.ahead(entry) for entry in (*entries, urgent)] == [1, 2, 3, 0]
    queue.remove(entries[0])
    assert queue.ahead(entries[1]) == 1


async def _turn(scheduler: Scheduler, work, every: float = 5.0) -> list[object]:
    with scheduler.admit("", "chat") as ticket:
        async for _ in scheduler.turn(ticket, every):
            pass
        return [item async for item in scheduler.run(ticket, work, every)]


def test_the_queue_is_bounded_and_slots_come_back() -> None:
    async def main() -> None:
        scheduler, go = Scheduler(), threading.Event()

        def work(cancelled):
            go.wait(5)
            yield 1

        waiting = [asyncio.create_task(_turn(scheduler, work)) for _ in range(WAITING_LIMIT)]
        await asyncio.sleep(0)
        with pytest.raises(HostBusy):
            await _turn(scheduler, work)
        scheduler.open_slots(2)
        waiting += [asyncio.create_task(_turn(scheduler, work)) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert (scheduler.active, scheduler.queued) == (2, WAITING_LIMIT)
        with pytest.raises(HostBusy):
            await _turn(scheduler, work)
        go.set()
        assert await asyncio.gather(*waiting) == [[1]] * (WAITING_LIMIT + 2)
        assert (scheduler.active, scheduler.queued) == (0, 0)

    asyncio.run(main())


def test_an_error_in_the_worker_reaches_the_request_and_frees_the_slot() -> None:
    async def main() -> None:
        scheduler = Scheduler()
        scheduler.open_slots(1)

        def work(cancelled):
            yield 1
            raise ZeroDivisionError

        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await _turn(scheduler, work)
        await asyncio.sleep(0.01)
        assert scheduler.active == 0

    asyncio.run(main())


def test_a_slot_is_held_until_the_engine_has_noticed_the_cancel() -> None:
    async def main() -> None:
        scheduler, seen = Scheduler(), []
        scheduler.open_slots(1)

        def work(cancelled):
            while not cancelled():
                time.sleep(0.001)
            time.sleep(0.05)
            seen.append("noticed")
            yield 1

        task = asyncio.create_task(_turn(scheduler, work))
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.sleep(0.01)
        assert scheduler.active == 1
        assert await _turn(scheduler, lambda cancelled: iter(seen)) == ["noticed"]

    asyncio.run(main())


def test_silence_is_told_and_the_end_wakes_those_who_wait() -> None:
    async def main() -> None:
        scheduler = Scheduler()
        waiting = asyncio.create_task(_turn(scheduler, lambda cancelled: iter((1,))))
        await asyncio.sleep(0.01)
        scheduler.cancel_all()
        with pytest.raises(HostError):
            await waiting
        scheduler.open_slots(1)

        def slow(cancelled):
            time.sleep(0.05)
            yield 1

        items = await _turn(scheduler, slow, every=0.01)
        assert items.index(1) >= 2 and set(items) == {None, 1}  # on a busy machine the end is late, too

    asyncio.run(main())


def test_programs_at_a_door_do_not_keep_the_user_out() -> None:
    async def crowded() -> None:
        scheduler = Scheduler()
        with ExitStack() as house:
            for _ in range(OUTSIDE_LIMIT):
                house.enter_context(scheduler.admit("door:1", "chat", outside=True))
            with pytest.raises(HostBusy):
                house.enter_context(scheduler.admit("door:2", "chat", outside=True))
            house.enter_context(scheduler.admit("editor", "chat"))

    asyncio.run(crowded())


@pytest.mark.parametrize("seed", range(5))
def test_who_is_turned_away_gets_in_before_those_who_come_later(seed: int) -> None:
    """Forty clients, each asking again at random moments, at a house with ten places: nobody waits for three shares."""
    dice, now = random.Random(seed), [0.0]
    scheduler = Scheduler(10, clock=lambda: now[0])
    inside, since, admissions, waits = [], {}, 0, []
    for _ in range(rounds(80_000)):
        now[0] += 0.01
        client = f"editor {dice.randrange(40)}"
        if client not in {name for name, _ in inside}:
            begun = since.setdefault(client, admissions)
            place = scheduler.admit(client, "chat")
            try:
                place.__enter__()
            except HostBusy:
                pass
            else:
                inside.append((client, place))
                waits.append(admissions - begun)
                admissions += 1
                del since[client]
        if len(inside) == 10 and dice.random() < 0.2:
            inside.pop(dice.randrange(10))[1].__exit__(None, None, None)
    waits += [admissions - begun for begun in since.values()]
    assert len(waits) > 50 and max(waits) <= 3 * 40


def test_who_does_not_come_back_holds_no_place() -> None:
    now = [0.0]
    scheduler = Scheduler(1, clock=lambda: now[0])
    with scheduler.admit("a", "chat"):
        for client in ("once", "twice", "twice"):
            with pytest.raises(HostBusy), scheduler.admit(client, "chat"):
                pass
    with pytest.raises(HostBusy), scheduler.admit("later", "chat"):
        pass
    with scheduler.admit("twice", "chat"):
        pass
    with scheduler.admit("later", "chat"):
        for _ in range(2):
            with pytest.raises(HostBusy), scheduler.admit("gone", "chat"):
                pass
    now[0] += PATIENCE + 1
    with scheduler.admit("late", "chat"):
        pass
