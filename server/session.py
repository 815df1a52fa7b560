"""All that changes while one editor is connected: the only mutable object of the server's own."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from assistant.errors import AssistantError
from server.capabilities import Client
from server.completions import Completions
from server.documents import Documents
from server.jobs import Job
from server.options import Options

if TYPE_CHECKING:
    from assistant.chatting import Chat
    from assistant.models.spec import ModelSpec
    from assistant.settings import Settings
    from server.applying import Proposal
    from server.creating import NewFile
    from server.errands import Errand

log = logging.getLogger(__name__)

_numbers = count(1)

_SETTLING_SECONDS = 1.0


@dataclass(slots=True)
class Session:
    """One connected editor.

    editor: the way to send to it.  name: what the model host knows it by, so that editors take turns there.
    client: what it can do, known from `initialize` on.
    folders: the URIs of its workspace folders.  owned: whether the process lives for this editor alone.
    jobs: what is being done for it, by the job's id.  last: the errand that was begun last, and the text then.
    done: what was done, the latest last: each edit as the proposal that takes it back, and new files.
    answers: what the model said, by the job's id.  chats: conversations, by their id.
    completions: what is remembered of inline completions.
    turns: the requests at which chats are answering, by the token that they stream to.
    prepared: the model that lies ready, and the settings that asked for it; one at a time is prepared.
    told_hosts: machines of which the user knows that text goes there.
    settling: the question for the client's settings, until it is answered.
    complaints: sentences about its settings that can be shown only once it is ready.
    """

    editor: LanguageServer
    name: str = field(default_factory=lambda: f"editor {os.getpid()}-{next(_numbers)}")
    client: Client = field(default_factory=Client)
    options: Options = field(default_factory=Options)
    documents: Documents = field(default_factory=Documents)
    folders: tuple[str, ...] = ()
    owned: bool = True
    jobs: dict[str, Job] = field(default_factory=dict)
    last: tuple[Errand, str] | None = None
    done: list[Proposal | NewFile] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    chats: dict[str, Chat] = field(default_factory=dict)
    turns: dict[int | str, asyncio.Task[Any]] = field(default_factory=dict)
    completions: Completions = field(default_factory=Completions)
    prepared: tuple[Settings, ModelSpec] | None = None
    preparing: asyncio.Lock = field(default_factory=asyncio.Lock)
    told_hosts: set[str] = field(default_factory=set)
    settling: asyncio.Task[None] | None = None
    complaints: list[str] = field(default_factory=list)
    _state: dict[str, object] = field(default_factory=lambda: {"state": "off", "model": ""})
    _warmed: Options | None = None
    _background: set[asyncio.Task[Any]] = field(default_factory=set)

    def tell(self, sentence: str, kind: types.MessageType = types.MessageType.Warning) -> None:
        """Show the user one sentence."""
        self.editor.window_show_message(types.ShowMessageParams(kind, sentence))

    def now(self, state: str, model: str = "", **more: object) -> None:
        """Note what the model is doing, and tell the client where that is new; `more` that is None or empty is left out."""
        told = {"state": state, "model": model, **{name: value for name, value in more.items() if value not in (None, "")}}
        if told != self._state:
            self._state = told
            self.tell_status()

    def tell_status(self) -> None:
        """Tell the client what the model is doing, and for how many jobs."""
        self.editor.protocol.notify("starchat/status", self.status())

    def status(self) -> dict[str, object]:
        """`{state, model, active, queued}`; `reason` where it failed, `progress` while it loads, `remote` where text goes."""
        queued = sum(job.queued for job in self.jobs.values())
        return {**self._state, "active": len(self.jobs) - queued, "queued": queued}

    def warm_up(self) -> None:
        """Start the model host, once for each setting, so that it is loading while the user still reads."""
        if self._warmed != self.options:
            self._warmed = self.options
            self.in_background(_warm(self))

    async def settled(self) -> None:
        """Wait for settings that the client has been asked for, a second at most."""
        if self.settling is not None:
            await asyncio.wait({self.settling}, timeout=_SETTLING_SECONDS)
            self.settling = None

    def in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something that nobody has to wait for; where it fails, that is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        task.add_done_callback(_log_failure)
        return task

    def stop_all(self) -> list[asyncio.Task[Any]]:
        """Stop all work; returns the tasks that are ending."""
        tasks = [*self._background, *(job.task for job in self.jobs.values() if job.task is not None)]
        for task in tasks:
            task.cancel()
        return tasks


async def _warm(session: Session) -> None:
    from server.model import warm

    await session.settled()
    with suppress(AssistantError):  # noted in the status; whoever asks for something is told why it fails
        await warm(session)


def _log_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.warning("Something in the background failed: %s", type(task.exception()).__name__)
