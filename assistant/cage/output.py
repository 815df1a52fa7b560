"""Output of a caged command, of which only the beginning and the end are kept."""

from __future__ import annotations

import os


class Bounded:
    """Keeps `kept` bytes of what it takes: the first quarter, and as the rest the last bytes."""

    def __init__(self, kept: int) -> None:
        self._first = kept // 4
        self._last = kept - self._first
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def take(self, descriptor: int) -> bool:
        """Read what is there; False at the end of the stream."""
        data = os.read(descriptor, 65536)
        self.total += len(data)
        room = self._first - len(self._head)
        self._head += data[:room]
        self._tail += data[max(room, 0) :]
        del self._tail[: -self._last]
        return bool(data)

    @property
    def dropped(self) -> int:
        """Bytes between the beginning and the end that were not kept."""
        return self.total - len(self._head) - len(self._tail)

    def text(self) -> str:
        """What was kept, with a line that says what is missing."""
        head, tail = (part.decode("utf-8", errors="replace") for part in (bytes(self._head), bytes(self._tail)))
        return f"{head}\n[… {self.dropped:,} bytes are not shown …]\n{tail}" if self.dropped else head + tail
