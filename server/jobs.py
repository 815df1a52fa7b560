"""The table of what is being done for the editor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

_numbers = count(1)

LAST_SECONDS = 5.0
"""How long a job that was stopped waits for what the editor has been asked to do."""

End = Literal["applied", "answered", "no_edit", "conflict", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended.

    outcome: `applied` and `answered` are what was wanted; `no_edit` and `conflict` keep an answer that was not applied.
    reason: one sentence for the user.  text: the model's answer.  answer: the URI where it can be read.
    code: the error's code, of `assistant.errors`.  file: the URI of a new file.
    """

    job: str
    outcome: End
    reason: str
    text: str = ""
    answer: str = ""
    code: str = ""
    file: str = ""

    def as_json(self) -> dict[str, Any]:
        """The result of `workspace/executeCommand`; empty parts are left out."""
        parts = {"text": self.text, "answer": self.answer, "code": self.code, "file": self.file}
        kept = {name: value for name, value in parts.items() if value}
        return {"job": self.job, "outcome": self.outcome, "reason": self.reason, **kept}


@dataclass(slots=True)
class Job:
    """One command at work.

    title: what progress calls it.  token: the progress token that stands for it, None before there is one.
    queued: whether others are before it at the model host.
    reply: the model's answer, once it is whole.
    finishing: whether the editor has been asked to change something, which cannot be called back.  stopped: by the user.
    task: cancelling it stops the model within a token or a chunk of its prompt.
    """

    title: str
    id: str = field(default_factory=lambda: f"job-{next(_numbers)}")
    token: int | str | None = None
    queued: bool = False
    reply: str = ""
    finishing: bool = False
    stopped: bool = False
    task: asyncio.Task[Outcome] | None = None

    async def finished(self, work: Coroutine[Any, Any, str], late: Callable[[asyncio.Task[str]], object]) -> str:
        """The sentence in which `work` ends, which changes something in the editor: stopping the job waits for it.

        late: takes the work over where the job was stopped and the editor has not answered for some seconds: it still may.

        Raises:
            CancelledError: the job was stopped, and the editor has changed nothing, or not said so yet.
        """
        self.finishing = True
        task = asyncio.get_running_loop().create_task(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            try:
                await asyncio.wait({task}, timeout=LAST_SECONDS)
            finally:
                if not task.done():
                    late(task)
            if not task.done() or task.cancelled() or task.exception() is not None:
                raise
            return f"{task.result()} The stop came too late; undo takes it back."
        finally:
            self.finishing = False

    def stop(self) -> None:
        """Stop working on it; once more changes nothing while the editor is waited for."""
        if self.stopped and self.finishing:
            return
        self.stopped = True
        if self.task is not None:
            self.task.cancel()
