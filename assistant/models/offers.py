"""What a user is told about a download: before it, to decide; and during it, to wait."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CONSENT_BYTES = 50_000_000
"""Nothing larger is fetched without the user's consent."""

Stage = Literal["note", "waiting", "download", "join", "check"]
"""A line for the user, waiting for another process, fetching, joining the parts of a mirror, comparing hashes."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A download that the user may agree to.

    bytes: what is still to be fetched; parts that an earlier try left behind are not counted.
    source: where from, in words.
    folder: where the files will lie;  free_bytes: what its disk has left.
    """

    name: str
    title: str
    bytes: int
    licence: str
    restrictions: str
    source: str
    folder: Path
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download has come: `done` of `total` bytes of this stage; `total` is 0 where it is not known.

    text: what a note says, such as why a GPU is not used and what to do about it.
    """

    stage: Stage
    done: int
    total: int
    text: str = ""


def size_text(count: int) -> str:
    """A number of bytes for people, in decimal units: `491 MB`."""
    if count < 1000:
        return f"{count} bytes"
    unit, divisor = next((row for row in _UNITS if count < 999.5 * row[1]), _UNITS[-1])
    number = count / divisor
    return f"{number:.0f} {unit}" if number >= 100 or unit == "kB" else f"{number:.1f} {unit}"


_UNITS = (("kB", 1e3), ("MB", 1e6), ("GB", 1e9))
