"""The table of what is being done for the editor."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

_numbers = count(1)

End = Literal["applied", "answered", "no_edit", "conflict", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended.

    outcome: `applied` and `answered` are what was wanted; `no_edit` and `conflict` keep an answer that was not applied.
    reason: one sentence for the user.  text: the model's answer.  answer: the URI where it can be read.
    code: the error's code, of `assistant.errors`.
    """

    job: str
    outcome: End
    reason: str
    text: str = ""
    answer: str = ""
    code: str = ""

    def as_json(self) -> dict[str, Any]:
        """The result of `workspace/executeCommand`; empty parts are left out."""
        parts = {"text": self.text, "answer": self.answer, "code": self.code}
        kept = {name: value for name, value in parts.items() if value}
        return {"job": self.job, "outcome": self.outcome, "reason": self.reason, **kept}


@dataclass(slots=True)
class Job:
    """One command at work.

    title: what progress calls it.  token: the progress token that stands for it, None before there is one.
    queued: whether others are before it at the model host.
    task: cancelling it stops the model within a token or a chunk of its prompt.
    """

    title: str
    id: str = field(default_factory=lambda: f"job-{next(_numbers)}")
    token: int | str | None = None
    queued: bool = False
    task: asyncio.Task[Outcome] | None = None

    def stop(self) -> None:
        """Stop working on it."""
        if self.task is not None:
            self.task.cancel()
