"""Server-sent events, read piece by piece as they arrive (the HTML standard, section 9.2); no IO in here."""

from __future__ import annotations

import codecs
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """The data of one event: its `data:` lines, joined by newlines."""

    data: str


@dataclass(frozen=True, slots=True)
class Comment:
    """A line that began with a colon, without it and without the space after it."""

    text: str


class EventDecoder:
    """Bytes in, events and comments out, however the bytes were cut.

    Lines end with LF, CR or CRLF.  Fields other than `data` mean nothing to the OpenAI API and are passed over, and so is an
    event that the connection's end cut off, as the standard demands.
    """

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._line = ""
        self._after_cr = False
        self._data: list[str] = []

    def decode(self, chunk: bytes) -> list[Event | Comment]:
        """What `chunk` completes."""
        text = self._text.decode(chunk)
        if self._after_cr and text:
            text, self._after_cr = text.removeprefix("\n"), False
        if text.endswith("\r"):
            self._after_cr = True
        *lines, self._line = (self._line + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return [item for item in map(self._taken, lines) if item is not None]

    def _taken(self, line: str) -> Event | Comment | None:
        if not line:
            data, self._data = self._data, []
            return Event("\n".join(data)) if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            return Comment(value)
        if name == "data":
            self._data.append(value)
        return None
