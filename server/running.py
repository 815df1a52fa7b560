"""Carrying a command out for the editor: a job, from its start to the reply of `workspace/executeCommand`."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from typing import Any

from lsprotocol import types

from assistant.answer import Answer, Note
from assistant.client import Delta, Waiting
from assistant.document import Document
from assistant.errors import AssistantError, EditConflict, NoEdit
from assistant.lines import split_lines
from assistant.turn import Turn, take
from server import answers
from server.applying import Proposal, apply
from server.errands import Errand
from server.files import lines_of, source
from server.jobs import End, Job, Outcome
from server.model import connected, waiting_text
from server.progress import Progress
from server.session import Session

log = logging.getLogger(__name__)

PATIENCE = 0.5
"""Seconds after which a client that shows no progress, and may be waiting for us with everything else, gets its reply."""

_STREAM_SECONDS = 0.25


async def reply(session: Session, errand: Errand, token: int | str | None) -> dict[str, Any]:
    """Start the errand and wait for its end; cancelling this stops it."""
    job = start(session, errand, token)
    assert job.task is not None
    patient = session.client.progress or token is not None
    try:
        await asyncio.wait({job.task}, timeout=None if patient else PATIENCE)
    except asyncio.CancelledError:
        job.stop()
        raise
    if job.task.done():
        return _outcome(job).as_json()
    job.task.add_done_callback(lambda task: _tell_end(session, _outcome(job)))
    return {"job": job.id, "running": True}


def start(session: Session, errand: Errand, token: int | str | None = None) -> Job:
    """Begin; the job stands in the session's table until it has ended."""
    session.last = errand
    job = Job(errand.command.title, token=token)
    session.jobs[job.id] = job
    job.task = asyncio.get_running_loop().create_task(_run(session, job, errand))
    job.task.add_done_callback(lambda task: _over(session, job))
    session.tell_status()
    return job


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
        outcome = await _done(session, job, errand, progress)
    except asyncio.CancelledError:
        outcome = Outcome(job.id, "cancelled", "Stopped.")
    except AssistantError as error:
        outcome = _failed(session, job, error)
    except Exception as error:  # the last net: a bug of ours ends the job in order, too
        log.warning("A job failed: %s", type(error).__name__)
        outcome = Outcome(job.id, "failed", f"Something went wrong that should not have: {type(error).__name__}.")
    progress.end(outcome.reason)
    return outcome


async def _done(session: Session, job: Job, errand: Errand, progress: Progress) -> Outcome:
    if errand.command.effect == "edit":
        return await _edited(session, job, errand, progress)
    answer = await _taken(session, job, _question(session, errand), progress)
    uri = answers.keep(session, job.id, answer.text)
    return Outcome(job.id, "answered", "Answered.", answer.text, uri)


def _question(session: Session, errand: Errand) -> Turn:
    """A command that answers: about lines of a document, shown with what stands around them, or beside an excerpt."""
    about = errand.argument
    if errand.command.takes("region"):
        document = source(session, about.uri).document
        lines = lines_of(document.text, about.range)
        return Turn(errand.command, question=about.question, document=document, lines=lines, problems=about.problems)
    attached = (excerpt(session, about.uri, about.range),) if about.uri else ()
    return Turn(errand.command, question=about.question, attachments=attached)


async def _edited(session: Session, job: Job, errand: Errand, progress: Progress) -> Outcome:
    then = source(session, errand.argument.uri)
    lines = lines_of(then.document.text, errand.argument.range)
    turn = Turn(
        errand.command,
        question=errand.argument.question,
        document=then.document,
        lines=lines,
        problems=errand.argument.problems,
    )
    answer = await _taken(session, job, turn, progress)
    assert answer.edit is not None and answer.region is not None  # a command that edits gives a plan or raises NoEdit
    progress.report("applying …")
    proposal = Proposal(errand.command.title, then.uri, answer.edit, answer.region, then.document.text)
    return Outcome(job.id, "applied", await apply(session, proposal))


async def _taken(session: Session, job: Job, turn: Turn, progress: Progress) -> Answer:
    """Take the turn; an answer is shown as it grows where the client has documents that can grow."""
    grows = turn.command.effect == "answer" and session.client.virtual_documents
    text, shown, at = "", False, time.monotonic()
    async with connected(session, progress.report) as client, aclosing(take(turn, client)) as events:
        async for event in events:
            job.queued = isinstance(event, Waiting) and event.state == "queued"
            match event:
                case Waiting():
                    progress.report(waiting_text(event))
                case Note(sentence):
                    progress.report(sentence)
                case Delta(piece):
                    text += piece
                    progress.report(f"writing … {len(text):,} characters")
                case Answer():
                    if turn.command.effect == "answer" and not shown:
                        session.in_background(answers.show(session, answers.keep(session, job.id, event.text)))
                    return event
            if grows and text and time.monotonic() - at > _STREAM_SECONDS:
                at, uri = time.monotonic(), answers.keep(session, job.id, text)
                if not shown:
                    session.in_background(answers.show(session, uri))
                shown = True
    raise AssertionError("a turn always ends with an answer")


def _tell_end(session: Session, outcome: Outcome) -> None:
    """Tell a client that has its reply already; failures and answers have been shown."""
    if outcome.outcome in ("applied", "cancelled"):
        session.tell(outcome.reason, types.MessageType.Info)


def _failed(session: Session, job: Job, error: AssistantError) -> Outcome:
    """An error as an outcome; an answer that came with it is kept where the user can read it."""
    kind: End = "conflict" if isinstance(error, EditConflict) else "no_edit" if isinstance(error, NoEdit) else "failed"
    text = error.reply if isinstance(error, NoEdit) else ""
    uri = answers.keep(session, job.id, text) if text.strip() else ""
    session.tell(str(error))
    return Outcome(job.id, kind, str(error), text, uri, error.code)


def excerpt(session: Session, uri: str, selection: types.Range | None) -> Document:
    """The selected lines of a document, as a document of their own; without a selection all of it.

    Raises:
        InputError: the document cannot be used.
    """
    document = source(session, uri).document
    first, last = lines_of(document.text, selection) or (1, None)
    text = "".join(split_lines(document.text)[first - 1 : last])
    return Document(document.path, text, language=document.language)
