"""Running a figure's script, where the user agrees: in the sandbox, repaired while it fails; the picture is shown."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from pathlib import Path

from lsprotocol import types

from assistant.answer import Answer, Note
from assistant.client import Waiting
from assistant.errors import AssistantError
from assistant.plotting import Drawn, check_drawable, drawn
from assistant.sandbox import check_available
from assistant.settings import home, private_folder
from assistant.turn import Turn
from server.answers import KEPT, show
from server.jobs import Job
from server.model import connected, waiting_text
from server.progress import Progress
from server.session import Session

DRAW = "Draw it"


def ask(session: Session) -> asyncio.Task[bool] | None:
    """Ask whether the script is to be run, while it is being written; None where nothing can be run here."""
    try:
        check_drawable()
        check_available()
    except AssistantError:
        return None
    return asyncio.get_running_loop().create_task(_agreed(session))


async def pictured(session: Session, job: Job, turn: Turn, answer: Answer, progress: Progress) -> tuple[Answer, str]:
    """The script, repaired where it failed, and the URI of its first picture; all are shown; empty where there is none."""
    async with connected(session, progress.report) as client, aclosing(drawn(turn, answer, client)) as events:
        async for event in events:
            match event:
                case Waiting():
                    progress.report(waiting_text(event))
                case Note(sentence):
                    progress.report(sentence)
                case Drawn(final, pictures):
                    if not pictures:
                        return answer, ""
                    uris = [_kept(job, number, picture).as_uri() for number, picture in enumerate(pictures, start=1)]
                    for uri in uris:
                        session.in_background(show(session, uri))
                    return final, uris[0]
    return answer, ""


async def _agreed(session: Session) -> bool:
    """Whoever cannot be asked, or has not answered when the script is there, has not agreed."""
    question = "StarChat writes a script for your figure. Shall it be run in the sandbox, and the picture be shown?"
    choices = [types.MessageActionItem(DRAW), types.MessageActionItem("Only the script")]
    asked = types.ShowMessageRequestParams(types.MessageType.Info, question, choices)
    answer = await session.editor.window_show_message_request_async(asked)
    return answer is not None and answer.title == DRAW


def _kept(job: Job, number: int, picture: bytes) -> Path:
    """A file that only the user can read; old ones go."""
    folder = private_folder(home() / "answers")
    path = folder / f"{os.getpid()}-{job.id}-{number}.png"
    path.touch(0o600)
    path.write_bytes(picture)
    for old in sorted(folder.glob("*.png"), key=lambda each: each.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path
