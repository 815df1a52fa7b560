"""Who comes next: a queue by urgency that forgets nobody, and a line of those for whom it had no place.  No tasks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import get_args

from assistant.wire import Urgency

_RANK: dict[str, int] = {urgency: rank for rank, urgency in enumerate(get_args(Urgency))}
_REMEMBERED_CLIENTS = 1024


PATIENCE = 4.0
"""Seconds in which a client that was turned away comes back if it means to: our language server within half a one."""


@dataclass(slots=True)
class Returning:
    """Clients that were turned away and came back, in the order in which they first came.

    A place that becomes free is theirs before it is anybody's who comes later: where more clients ask than there are places,
    chance would let some in again and again, and others never.  Who was turned away only once may not mean to come back.
    """

    clock: Callable[[], float]
    _turned: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)

    def before(self, client: str) -> int:
        """How many places are for others, if `client` asks now."""
        now = self.clock()
        for name in [name for name, (_, last) in self._turned.items() if last < now - PATIENCE]:
            del self._turned[name]
        earlier = takewhile(lambda item: item[0] != client, self._turned.items())
        return sum(times > 1 for _, (times, _) in earlier)

    def turned_away(self, client: str) -> None:
        """There was no place for `client`."""
        times, _ = self._turned.get(client, (0, 0.0))
        self._turned[client] = (times + 1, self.clock())

    def admitted(self, client: str) -> None:
        """`client` has got its place."""
        self._turned.pop(client, None)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One waiting request.

    number: counts all arrivals.
    share: how many turns it would wait in plain order of arrival, its own included.
    served_before: turns that had been given when it came.
    """

    client: str
    urgency: Urgency
    number: int
    share: int
    served_before: int


@dataclass(slots=True)
class FairQueue:
    """The more urgent goes first; among equals the client that was served longest ago; then the one who came first.

    Nobody waits for more than three fair shares: who has seen twice its share of turns go to others goes before all that
    came later, whatever their urgency.  Only those who came earlier can then still be ahead, and they are fewer than its share.
    """

    _waiting: list[Entry] = field(default_factory=list)
    _last_served: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _arrived: int = 0
    _served: int = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, client: str, urgency: Urgency) -> Entry:
        """Take in a request."""
        self._arrived += 1
        entry = Entry(client, urgency, self._arrived, len(self._waiting) + 1, self._served)
        self._waiting.append(entry)
        return entry

    def pop(self, only: Callable[[Entry], bool] = lambda _: True) -> Entry | None:
        """The request whose turn it is, of those that `only` lets through, or None."""
        entry = min(filter(only, self._waiting), key=self._order, default=None)
        if entry is None:
            return None
        self._waiting.remove(entry)
        self._served += 1
        self._last_served[entry.client] = self._served
        self._last_served.move_to_end(entry.client)
        if len(self._last_served) > _REMEMBERED_CLIENTS:
            self._last_served.popitem(last=False)
        return entry

    def remove(self, entry: Entry) -> None:
        """Forget a request that no longer waits; one that was served already is ignored."""
        if entry in self._waiting:
            self._waiting.remove(entry)

    def ahead(self, entry: Entry) -> int:
        """How many would go before `entry` if nobody else came."""
        order = self._order(entry)
        return sum(self._order(other) < order for other in self._waiting)

    def _order(self, entry: Entry) -> tuple[int, int, int]:
        if self._served - entry.served_before >= 2 * entry.share:
            return (-1, 0, entry.number)
        return (_RANK[entry.urgency], self._last_served.get(entry.client, 0), entry.number)
