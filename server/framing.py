r"""The frames of the base protocol, from bytes in any pieces: `Content-Length: N`, a blank line, N bytes of JSON.

Reading is lenient: names of headers in any case, lines that end in `\n` alone, unknown headers.  Where a length is wrong the
stream is not lost: text of the form `Content-Length: 12` and a line end cannot stand inside JSON, where line ends in strings
are escaped, so that finding it in a body proves that a new frame begins there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_BODY = 64 * 1024 * 1024
"""Bytes.  A longer body is passed over, not kept."""

CHANGE = b"ocument/didChange"
"""What every message holds that changes a text."""

_LENGTH = re.compile(rb"content-length[ \t]*:[ \t]*([0-9]{1,19})[ \t]*\r?\n", re.IGNORECASE)
_NAME = b"content-length"
_BEGUN = re.compile(rb"content-length[ \t]*:[ \t]*[0-9]*\s*", re.IGNORECASE)
_HEADER = re.compile(rb"[A-Za-z-]+[ \t]*:[^\r\n]{0,1024}\r?\n")
_BLANK = re.compile(rb"\r?\n")
_MOST_OF_HEADERS = 8192
_OVERLAP = 64
"""Bytes that the beginning of a length may have at the end of a piece."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Bytes that are no frame were passed over; `reason` is a sentence.  `lost`: what they said may matter to a document."""

    reason: str
    lost: bool = False


class Frames:
    """What has been read so far.  Feed it bytes; it holds no file and waits for nothing.  `most`: bytes of a body."""

    def __init__(self, most: int = MAX_BODY) -> None:
        self.most = most
        self._buffer = bytearray()
        self._length: int | None = None
        self._searched = 0

    def feed(self, data: bytes) -> Iterator[bytes | Broken]:
        """The bodies that `data` completes, and a `Broken` for each run of bytes that is none."""
        self._buffer += data
        while True:
            item = self._header() if self._length is None else self._body(self._length)
            if item is None:
                return
            if item != b"":
                yield item

    def _header(self) -> bytes | Broken | None:
        """Look for a length; None means that more bytes are needed, `b""` that there is something to look at again."""
        found = _LENGTH.search(self._buffer)
        if found is None:
            return self._pass_over()
        place = found.end()
        while (header := _HEADER.match(self._buffer, place)) and not _LENGTH.match(self._buffer, place):
            place = header.end()
        blank = _BLANK.match(self._buffer, place)
        if blank is None:
            return self._headers_go_on(found, place)
        junk, length = _is_junk(bytes(self._buffer[: found.start()])), int(found[1])
        del self._buffer[: blank.end()]
        if length > self.most:
            return Broken(f"A frame of {length:,} bytes was passed over; at most {self.most:,} are read.", lost=True)
        self._length, self._searched = length, 0
        return Broken("Bytes before a frame are no header.") if junk else b""

    def _headers_go_on(self, found: re.Match[bytes], place: int) -> bytes | Broken | None:
        rest = bytes(self._buffer[place : place + 2048])
        if b"\n" not in rest and len(rest) < 2048 and place - found.end() <= _MOST_OF_HEADERS:
            return None
        del self._buffer[: place if _LENGTH.match(self._buffer, place) else found.end()]
        return Broken("The headers of a frame do not end in a blank line.")

    def _pass_over(self) -> Broken | None:
        """Forget bytes in which no header begins."""
        if len(self._buffer) <= 4096:
            return None
        junk = _is_junk(bytes(self._buffer[:-_OVERLAP]))
        del self._buffer[:-_OVERLAP]
        return Broken("Bytes between two frames are no header.") if junk else None

    def _body(self, length: int) -> bytes | Broken | None:
        nested = _LENGTH.search(self._buffer, self._searched, length)
        if nested is not None:
            self._length = None
            lost = CHANGE in self._buffer[: nested.start()]
            del self._buffer[: nested.start()]
            return Broken("A frame ended before its Content-Length.", lost)
        if len(self._buffer) < length:
            self._searched = max(0, len(self._buffer) - _OVERLAP)
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._length = None
        self._buffer[:0] = _begun(body)
        return body or Broken("A frame is empty.")


def frame(body: bytes) -> bytes:
    """`body` with its header."""
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def _begun(body: bytes) -> bytes:
    """The beginning of the next header at the end of a body that took a few bytes too many; JSON ends in a bracket."""
    tail = body[-_OVERLAP:]
    if tail.rstrip().endswith((b"}", b"]")):
        return b""
    ends = (tail[start:] for start in range(len(tail)))
    return next((end for end in ends if _NAME.startswith(end.lower()) or _BEGUN.fullmatch(end)), b"")


def _is_junk(before: bytes) -> bool:
    """Whether bytes before a length are anything but headers and blank lines."""
    return any(line.strip() and not _HEADER.fullmatch(line) for line in before.splitlines(keepends=True))
