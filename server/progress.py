"""What a waiting user sees of a job: progress on the client's token, or on one that the server makes."""

from __future__ import annotations

import time

from lsprotocol import types

from server.jobs import Job
from server.session import Session

EVERY = 0.1
"""Seconds between two reports at least."""


class Progress:
    """Progress of one job; silent for a client that shows none."""

    def __init__(self, session: Session, job: Job) -> None:
        self._session, self._job = session, job
        self._begun = self._ended = False
        self._last = 0.0

    def begin(self) -> None:
        """Show that work has begun; where the client must first agree to a token, work goes on meanwhile."""
        if self._job.token is not None:
            self._begin()
        elif self._session.client.progress:
            self._session.in_background(self._create(f"starchat-{self._job.id}"))

    def report(self, message: str, share: float | None = None) -> None:
        """Say what is being waited for; `share` from 0 to 1."""
        now = time.monotonic()
        if self._begun and now - self._last >= EVERY:
            self._last = now
            percentage = None if share is None else round(100 * share)
            self._send(types.WorkDoneProgressReport(message=message, percentage=percentage, cancellable=True))

    def end(self, message: str) -> None:
        """Take it away."""
        self._ended = True
        if self._begun:
            self._begun = False
            self._send(types.WorkDoneProgressEnd(message=message))

    async def _create(self, token: str) -> None:
        self._job.token = token
        await self._session.editor.window_work_done_progress_create_async(types.WorkDoneProgressCreateParams(token))
        if not self._ended:
            self._begin()

    def _begin(self) -> None:
        self._begun = True
        self._send(types.WorkDoneProgressBegin(title=f"StarChat: {self._job.title}", message="starting …", cancellable=True))

    def _send(self, value: object) -> None:
        if self._job.token is not None:
            self._session.editor.progress(types.ProgressParams(self._job.token, value))
