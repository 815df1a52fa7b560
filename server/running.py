"""Carrying a command out for the editor: a job, from its start to the reply of `workspace/executeCommand`."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

from lsprotocol import types

from assistant.errors import AssistantError, EditConflict, NoEdit
from assistant.rebase import follow
from assistant.region import Region
from server import answers
from server.effects import EFFECTS
from server.errands import Errand
from server.failures import said
from server.files import lines_of
from server.jobs import End, Job, Outcome
from server.progress import Progress
from server.session import Session

log = logging.getLogger(__name__)

PATIENCE = 0.5
"""Seconds after which a client that gave no token gets its reply: it may be waiting for us with everything else.

Whether it shows progress says nothing about that: eglot does since Emacs 29, and waits, for ten seconds at most.
"""


async def reply(session: Session, errand: Errand, token: int | str | None) -> dict[str, Any]:
    """Start the errand and wait for its end; cancelling this stops it, unless the editor is making the edit already."""
    job = start(session, errand, token)
    assert job.task is not None
    try:
        await asyncio.wait({job.task}, timeout=PATIENCE if token is None else None)
    except asyncio.CancelledError:
        job.stop()
        if not job.finishing:
            raise
        await asyncio.wait({job.task})  # what the editor is doing already is told as it ends
    if job.task.done():
        return _outcome(job).as_json()
    job.task.add_done_callback(lambda task: _tell_end(session, _outcome(job)))
    return {"job": job.id, "running": True}


def start(session: Session, errand: Errand, token: int | str | None = None) -> Job:
    """Begin; the job stands in the session's table until it has ended."""
    session.last = (errand, _text(session, errand))
    job = Job(errand.command.title, token=token)
    session.jobs[job.id] = job
    job.task = asyncio.get_running_loop().create_task(_run(session, job, errand))
    job.task.add_done_callback(lambda task: _over(session, job))
    session.tell_status()
    return job


def again(session: Session, errand: Errand, before: str) -> Errand:
    """The errand once more, about the lines that its range has become since the text was `before`."""
    where, now = errand.argument.range, _text(session, errand)
    if before in ("", now) or not now or where is None:
        return errand
    first, last = lines_of(before, where) or (1, 1)
    region = follow(Region(first - 1, last), before, now)
    moved = types.Range(types.Position(region.start, 0), types.Position(region.end, 0))
    return replace(errand, argument=replace(errand.argument, range=moved))


def _text(session: Session, errand: Errand) -> str:
    """The text that an errand is about, where it is open."""
    opened = session.documents.get(errand.argument.uri)
    return opened.text if opened is not None else ""


def _over(session: Session, job: Job) -> None:
    session.jobs.pop(job.id, None)
    session.tell_status()


def _outcome(job: Job) -> Outcome:
    """How a job that is over has ended; one that was stopped before its first step has none of its own."""
    assert job.task is not None
    return Outcome(job.id, "cancelled", "Stopped.") if job.task.cancelled() else job.task.result()


async def _run(session: Session, job: Job, errand: Errand) -> Outcome:
    """The whole job.  It does not fail: whatever goes wrong is an outcome with a sentence."""
    progress = Progress(session, job)
    progress.begin()
    try:
        await session.settled()
        outcome = await EFFECTS[errand.command.effect](session, job, errand, progress)
    except asyncio.CancelledError:
        outcome = Outcome(job.id, "cancelled", "Stopped.")
    except AssistantError as error:
        outcome = _failed(session, job, error)
    except Exception as error:  # the last net: a bug of ours ends the job in order, too
        log.warning("A job failed: %s", type(error).__name__)
        outcome = Outcome(job.id, "failed", f"Something went wrong that should not have: {type(error).__name__}.")
        session.tell(outcome.reason)
    progress.end(outcome.reason)
    return outcome


def _tell_end(session: Session, outcome: Outcome) -> None:
    """Tell a client that has its reply already, and shows no progress; failures and answers have been shown."""
    if outcome.outcome in ("applied", "cancelled") and not session.client.progress:  # else the progress says it as it ends
        session.tell(outcome.reason, types.MessageType.Info)


def _failed(session: Session, job: Job, error: AssistantError) -> Outcome:
    """An error as an outcome; an answer that came with it is kept where the user can read it."""
    text = (error.reply if isinstance(error, NoEdit) else "") or job.reply
    without_place: End = "no_edit" if isinstance(error, NoEdit) or text else "failed"
    kind: End = "conflict" if isinstance(error, EditConflict) else without_place
    uri = answers.keep(session, job.id, text) if text.strip() else ""
    session.tell(said(error))
    return Outcome(job.id, kind, said(error), text, uri, error.code)
