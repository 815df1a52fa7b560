r"""The texts that are open in the editor, kept as the editor has them.

Lines end in `\n`, `\r\n` or `\r` and in nothing else.  A document is a list of lines, so that a key press in a file of a
megabyte moves a few of them and copies none of the text.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lsprotocol import types

from assistant.lines import split_lines
from server.positions import Encoding, to_offset

log = logging.getLogger(__name__)

Change = types.TextDocumentContentChangePartial | types.TextDocumentContentChangeWholeDocument


@dataclass(slots=True)
class OpenDocument:
    """One text.

    lines: each with its own line end; the last has none and may be empty.
    in_step: false after a change that cannot have followed the one before; whole text or reopening mends it.
    """

    uri: str
    language_id: str
    version: int
    lines: list[str]
    in_step: bool = True
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.lines)

    @property
    def size(self) -> int:
        """Characters of the text."""
        return sum(map(len, self.lines))


class Documents:
    """All open texts, by the URI that the client gave."""

    def __init__(self) -> None:
        self.encoding: Encoding = "utf-16"
        self._open: dict[str, OpenDocument] = {}

    def __iter__(self) -> Iterator[OpenDocument]:
        return iter(self._open.values())

    def get(self, uri: str) -> OpenDocument | None:
        """The open text of this URI."""
        return self._open.get(uri)

    def open(self, uri: str, language_id: str, version: int, text: str) -> OpenDocument:
        """Take a text in, in place of one of the same URI."""
        before = self._open.get(uri)
        self._open[uri] = document = OpenDocument(uri, language_id, version, _lines(text))
        if before is not None:
            before.changed.set()
        return document

    def close(self, uri: str) -> None:
        """Forget a text; one that is not open is none."""
        closed = self._open.pop(uri, None)
        if closed is not None:
            closed.changed.set()

    def change(self, uri: str, version: int, changes: Iterable[Change]) -> None:
        """Carry out what the user typed.  A version that is not newer is not applied, and puts the document out of step."""
        document = self._open.get(uri)
        if document is None:
            log.warning("A document that is not open was changed.")
            return
        if version <= document.version:
            log.warning("Version %d of a document came after version %d.", version, document.version)
            document.in_step = False
            return
        for change in changes:
            self._apply(document, change)
        document.version = version
        document.changed.set()
        document.changed = asyncio.Event()

    def lose(self, params: object) -> None:
        """A change came that could not be understood: the document that `params` names, else every one, is out of step."""
        named = params.get("textDocument") if isinstance(params, Mapping) else None
        uri = named.get("uri") if isinstance(named, Mapping) else None
        known = self._open.get(uri) if isinstance(uri, str) else None
        for document in self._open.values() if known is None else [known]:
            document.in_step = False

    async def next_change(self, uri: str, after: int, seconds: float) -> OpenDocument | None:
        """The document once it is newer than version `after`; None where that takes longer, or it is closed."""
        document = self._open.get(uri)
        if document is not None and document.version <= after:
            try:
                await asyncio.wait_for(document.changed.wait(), seconds)
            except TimeoutError:
                return None
        return self._open.get(uri)

    def _apply(self, document: OpenDocument, change: Change) -> None:
        if isinstance(change, types.TextDocumentContentChangeWholeDocument):
            document.lines = _lines(change.text)
            document.in_step = True
            return
        start, end = change.range.start, change.range.end
        if (start.line, start.character) > (end.line, end.character):
            log.warning("A change ends before it starts.")
            document.in_step = False
            return
        _replace(document.lines, self._place(document, start), self._place(document, end), change.text)

    def _place(self, document: OpenDocument, position: types.Position) -> tuple[int, int]:
        """Line and character; a position past the end is the end."""
        if position.line >= len(document.lines):
            return len(document.lines) - 1, len(document.lines[-1])
        return position.line, to_offset(document.lines[position.line], position.character, self.encoding)


def _replace(lines: list[str], start: tuple[int, int], end: tuple[int, int], text: str) -> None:
    r"""Put `text` in place of what stands between two places.

    The neighbouring lines are looked at again, since a `\r` and a `\n` that come together are one line end.
    """
    first, last = max(0, start[0] - 1), min(len(lines), end[0] + 2)
    before = "".join(lines[first : start[0]]) + lines[start[0]][: start[1]]
    after = lines[end[0]][end[1] :] + "".join(lines[end[0] + 1 : last])
    new = _lines(before + text + after)
    if last < len(lines):
        new.pop()  # the empty line after the last line end; the document goes on there
    lines[first:last] = new


def _lines(text: str) -> list[str]:
    """The lines of `text` with, after a final line end, the empty line that an editor shows there."""
    lines = split_lines(_whole(text))
    return lines if lines and not lines[-1].endswith(("\n", "\r")) else [*lines, ""]


def _whole(text: str) -> str:
    """`text` with halves of a surrogate pair that have come together as one character."""
    if text.isascii() or not _HALVES.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


_HALVES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
