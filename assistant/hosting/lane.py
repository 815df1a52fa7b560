"""One stream under way at the engine, and the brief request that may run between two of its steps.

An engine whose streams can take turns asks between any two steps whether it is to stop.  That question is where a guest runs,
in the same thread: the stream waits, with all that it has computed, and goes on afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

# A stream has at least a third of the time to itself, so that guests make nobody wait three times as long as alone.
_SHARE = 2.0


@dataclass(eq=False, slots=True)
class Lane:
    """The place of a stream at the engine.  Guests are sent by the event loop's thread and run in the stream's own.

    taken: whether a guest has been let in who has not left yet; belongs to the event loop's thread.
    """

    taken: bool = False
    _guests: SimpleQueue[Callable[[], None]] = field(default_factory=SimpleQueue)
    _begun: float = field(default_factory=time.monotonic)
    _lent: float = 0.0

    def open(self) -> bool:
        """Whether a guest may come: none is there, and those before took no more than their share."""
        own = time.monotonic() - self._begun - self._lent
        return not self.taken and self._lent <= _SHARE * own

    def send(self, guest: Callable[[], None]) -> None:
        """Let `guest` run at the stream's next pause."""
        self._guests.put(guest)

    def pause(self) -> None:
        """Run who waits; called between two steps of the stream."""
        while (guest := self.left_over()) is not None:
            begun = time.monotonic()
            guest()
            self._lent += time.monotonic() - begun

    def left_over(self) -> Callable[[], None] | None:
        """A guest that has not run yet, taken out."""
        try:
            return self._guests.get_nowait()
        except Empty:
            return None
