"""Keeping one exchange in the history while it goes on: the question at once, the answer as it grows and when it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from assistant.errors import StorageError
from assistant.history import records
from assistant.history.records import Entry

EVERY_SECONDS = 1.0
"""How often an answer that grows is written; so much of it can be lost where the process is killed."""


class Keeping:
    """One exchange.  Where the history cannot be used, `complaint` says why, and nothing more is tried.

    Writing goes on in a thread, so that a file that others hold never stops the answer on its way to the user.
    """

    def __init__(self, conversation: str, title: str) -> None:
        self.complaint: StorageError | None = None
        self._conversation, self._title = conversation, title
        self._question = self._answer = 0
        self._writing: asyncio.Future[None] | None = None
        self._at = time.monotonic()

    async def question(self, entry: Entry) -> None:
        """Keep the question; once this returns it is on the disk."""

        def write() -> None:
            self._question = records.add(self._conversation, entry, self._title)

        await self._done(write)

    def grow(self, text: str, model: str) -> None:
        """Keep the answer so far, unless that was done a moment ago or is being done."""
        busy = self._writing is not None and not self._writing.done()
        if not busy and (not self._answer or time.monotonic() - self._at >= EVERY_SECONDS):
            self._at = time.monotonic()
            self._writing = asyncio.ensure_future(self._done(lambda: self._write(text, model, "open")))

    async def end(self, text: str, model: str, finish: str) -> None:
        """Keep the answer as it ended; where none came, the question is taken back."""
        if self._writing is not None:
            await asyncio.wait({self._writing})
        await asyncio.shield(self._done(lambda: self._write(text, model, finish) if text else self._take_back()))

    def _write(self, text: str, model: str, finish: str) -> None:
        if self._answer:
            records.amend(self._answer, text, finish)
        else:
            self._answer = records.add(self._conversation, Entry("assistant", text, model=model, finish=finish), self._title)

    def _take_back(self) -> None:
        if self._question:
            records.take_back(self._conversation, (self._question,))

    async def _done(self, work: Callable[[], None]) -> None:
        if self.complaint is None:
            try:
                await asyncio.to_thread(work)
            except StorageError as error:
                self.complaint = error
