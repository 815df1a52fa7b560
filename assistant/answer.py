"""What a turn gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assistant.edits import EditPlan
from assistant.region import Region
from assistant.wire import FinishReason, Usage


@dataclass(frozen=True, slots=True)
class Note:
    """One sentence that the user should see beside the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """How a turn ended.

    text: the whole reply, as the model gave it.
    code: the reply's code, None where it holds none.
    usage: all tokens of the turn, further tries included.
    edit, region: for commands that edit, the plan and the lines that it may touch.
    path: for commands that make a file of `code`, where it should lie; nothing lay there when the answer came.
    """

    text: str
    code: str | None
    finish_reason: FinishReason
    usage: Usage
    edit: EditPlan | None = None
    region: Region | None = None
    path: Path | None = None
