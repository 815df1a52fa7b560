"""Requests take turns at the engine: a bounded queue in front of a few slots, each slot a worker thread.

Where the engine's streams can take turns, a brief completion does not wait for a slot: it runs between two steps of a stream
that is under way (see `lane`).

The engine's generators block, so each runs in a worker thread; its items reach the event loop one by one.  What a client has
not read yet is kept, which is bounded by the tokens it asked for, so that a slow reader never holds a slot.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

from assistant.errors import AssistantError, HostBusy, HostError
from assistant.hosting.fair_queue import Entry, FairQueue, Returning
from assistant.hosting.lane import Lane
from assistant.wire import Urgency

Item = TypeVar("Item")

WAITING_LIMIT = 32

OUTSIDE_LIMIT = WAITING_LIMIT // 2
"""Of those so many may come through doors, so that other programs never keep the user's own out."""

BRIEF_TOKENS = 24
"""A completion of at most so many tokens may go between two steps of another stream."""


class Ticket:
    """One admitted request, from its arrival to its end."""

    def __init__(self, client: str, urgency: Urgency, *, brief: bool = False, outside: bool = False) -> None:
        self.client = client
        self.outside = outside
        self.urgency: Urgency = urgency
        self.brief = brief and urgency == "completion"
        self.lane: Lane | None = None
        self.cancelled = threading.Event()
        self.woken = asyncio.Event()
        self.entry: Entry | None = None
        self.has_slot = False
        self.working = False


class Scheduler:
    """The one mutable object that all requests meet at.  It belongs to the event loop's thread.

    Before the engine is loaded there are no slots, and requests wait.
    """

    def __init__(self, waiting_limit: int = WAITING_LIMIT, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = waiting_limit
        self._returning = Returning(clock)
        self._slots = 0
        self._busy = 0
        self._queue = FairQueue()
        self._owners: dict[Entry, Ticket] = {}
        self._tickets: set[Ticket] = set()
        self._lanes: dict[Lane, Ticket | None] = {}
        self._interleaves = False
        self._refusal: AssistantError | None = None
        self._threads = ThreadPoolExecutor(1, "engine")

    @property
    def active(self) -> int:
        """Slots in use, those included whose engine has not yet noticed that it is to stop."""
        return self._busy

    @property
    def queued(self) -> int:
        """Admitted requests that have no slot."""
        return sum(not ticket.has_slot for ticket in self._tickets)

    def open_slots(self, slots: int, *, interleaves: bool = False) -> None:
        """The engine is loaded and can run `slots` streams at once; `interleaves`: also one between the steps of another."""
        self._interleaves = interleaves
        self._threads = ThreadPoolExecutor(slots, "engine")
        self._slots = slots
        self._dispatch()

    def refuse(self, error: AssistantError) -> None:
        """Admit nobody from now on; requests under way go on."""
        self._refusal = error

    def cancel_all(self) -> None:
        """Stop everything under way at its next token."""
        for ticket in self._tickets:
            ticket.cancelled.set()
            ticket.woken.set()

    @contextmanager
    def admit(self, client: str, urgency: Urgency, *, brief: bool = False, outside: bool = False) -> Iterator[Ticket]:
        """A place in the house, given back at the end of the block whatever happens in it.

        brief: it generates no more than `BRIEF_TOKENS`.  outside: it came through a door.

        Raises:
            HostBusy: `WAITING_LIMIT` requests wait already, or `OUTSIDE_LIMIT` from outside; or the places that are free are
                for clients that keep coming back.
            AssistantError: the host is about to end.
        """
        if self._refusal is not None:
            raise self._refusal
        if self._slots + self._limit - len(self._tickets) <= self._returning.before(client):
            if not outside:
                self._returning.turned_away(client)
            raise HostBusy(f"{self._limit} requests are waiting for the model already.", "Try again in a few seconds.")
        if outside and sum(one.outside and not one.has_slot for one in self._tickets) >= OUTSIDE_LIMIT:
            raise HostBusy(f"{OUTSIDE_LIMIT} requests are waiting for the model already.", "Try again in a few seconds.")
        if not outside:
            self._returning.admitted(client)
        ticket = Ticket(client, urgency, brief=brief, outside=outside)
        self._tickets.add(ticket)
        try:
            yield ticket
        finally:
            self._leave(ticket)

    async def turn(self, ticket: Ticket, every: float) -> AsyncIterator[int]:
        """Wait for a slot; says how many are ahead at once and then every `every` seconds until the turn has come.

        Raises:
            HostError: the host ends before that.
        """
        entry = ticket.entry = self._queue.push(ticket.client, ticket.urgency)
        self._owners[entry] = ticket
        self._dispatch()
        while not ticket.has_slot:
            if ticket.cancelled.is_set():
                raise HostError("The model host was stopped.", "Send the request again.")
            yield self._queue.ahead(entry)
            with suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await ticket.woken.wait()
            self._dispatch()

    async def run(
        self, ticket: Ticket, work: Callable[[Callable[[], bool]], Iterator[Item]], every: float
    ) -> AsyncIterator[Item | None]:
        """What `work` yields in a worker thread; None whenever `every` seconds pass without news.

        The ticket must have a slot.  `work` is handed the question whether it is to stop.
        """
        news: asyncio.Queue[Item | BaseException | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        lane = Lane()

        def asked() -> bool:
            lane.pause()
            return ticket.cancelled.is_set()

        def over(last: BaseException | None) -> None:
            # Whoever hears that the stream is over finds its slot free.
            self._ended(ticket, lane)
            news.put_nowait(last)

        def drive() -> None:
            last = _drive(work, asked, lambda item: loop.call_soon_threadsafe(news.put_nowait, item))
            loop.call_soon_threadsafe(over, last)

        ticket.working = True
        if ticket.lane is not None:
            ticket.lane.send(drive)
        else:
            self._lanes[lane] = None
            self._threads.submit(drive)
        while True:
            try:
                async with asyncio.timeout(every):
                    item = await news.get()
            except TimeoutError:
                yield None
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _ended(self, ticket: Ticket, lane: Lane) -> None:
        """A stream is over.  A guest that it has not let in yet takes its slot over."""
        if ticket.lane is not None:
            self._part(ticket)
            return
        guest = self._lanes.pop(lane, None)
        if guest is None:
            self._free()
            return
        guest.lane = None
        if (drive := lane.left_over()) is not None:
            self._threads.submit(drive)

    def _part(self, guest: Ticket) -> None:
        lane, guest.lane = guest.lane, None
        if lane is not None:
            lane.taken = False
            self._lanes[lane] = None
        self._dispatch()

    def _free(self) -> None:
        self._busy -= 1
        self._dispatch()

    def _leave(self, ticket: Ticket) -> None:
        ticket.cancelled.set()
        self._tickets.discard(ticket)
        if ticket.entry is not None:
            self._queue.remove(ticket.entry)
            self._owners.pop(ticket.entry, None)
        if ticket.has_slot and not ticket.working:
            give_back = self._free if ticket.lane is None else partial(self._part, ticket)
            give_back()

    def _dispatch(self) -> None:
        while self._busy < self._slots and (entry := self._queue.pop()) is not None:
            self._busy += 1
            self._call(entry)
        for lane in self._lanes:
            if self._interleaves and lane.open() and (entry := self._queue.pop(self._is_brief)) is not None:
                lane.taken = True
                self._lanes[lane] = guest = self._call(entry)
                guest.lane = lane

    def _call(self, entry: Entry) -> Ticket:
        ticket = self._owners.pop(entry)
        ticket.has_slot = True
        ticket.woken.set()
        return ticket

    def _is_brief(self, entry: Entry) -> bool:
        return self._owners[entry].brief


def _drive(
    work: Callable[[Callable[[], bool]], Iterator[Item]], cancelled: Callable[[], bool], tell: Callable[[Item], object]
) -> BaseException | None:
    """Tell every item; gives the error that ended it, which is raised again where the request is answered."""
    try:
        for item in work(cancelled):
            tell(item)
    except BaseException as error:
        return error
    return None
