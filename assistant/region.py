"""A run of whole lines of a document."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Region:
    """Lines `start` to `end` (excluded), counted from 0, with their line ends."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start
