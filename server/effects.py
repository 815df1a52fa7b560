"""What becomes of a command: an answer that is shown, an edit that is made, or a new file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from lsprotocol import types

from assistant.answer import Answer, Note
from assistant.client import Delta, ModelClient, Waiting
from assistant.commands import Effect
from assistant.document import Document
from assistant.errors import AssistantError, HostBusy, InputError
from assistant.instructions import instructions_for
from assistant.languages import language_named
from assistant.staged import staged
from assistant.turn import Event, Turn, take
from server import answers
from server.applying import Proposal, apply
from server.creating import create, place_for
from server.errands import Errand
from server.files import excerpt, lines_of, path_of, shown
from server.jobs import Job, Outcome
from server.model import connected, in_thread, waiting_text
from server.options import resolve
from server.progress import Progress
from server.session import Session

BUSY_SECONDS, SHORTEST_BUSY_SECONDS = 0.5, 0.1
"""How long to leave a host of ours alone whose queue is full: at first, and in the end.

Whoever has waited long asks more often: a place that is given up is taken again at once by whoever had it, so that others
find one by chance.
"""

_STREAM_SECONDS = 0.25


async def _answered(session: Session, job: Job, errand: Errand, progress: Progress) -> Outcome:
    turn = await _with_diff(session, errand) if errand.command.makes == "message" else _turn(session, errand)
    text = _said(turn, await _taken(session, job, turn, progress))
    return Outcome(job.id, "answered", "Answered.", text, answers.keep(session, job.id, text))


async def _edited(session: Session, job: Job, errand: Errand, progress: Progress) -> Outcome:
    then = shown(session, errand.argument.uri)
    turn = replace(_turn(session, errand), document=then.document)
    answer = await _taken(session, job, turn, progress)
    assert answer.edit is not None and answer.region is not None  # a command that edits gives a plan or raises NoEdit
    progress.report("applying …")
    proposal = Proposal(errand.command.title, then.uri, answer.edit, answer.region, then.document.text)
    return Outcome(job.id, "applied", await job.finished(apply(session, proposal, job), partial(_late, session)))


async def _created(session: Session, job: Job, errand: Errand, progress: Progress) -> Outcome:
    turn, picture = _turn(session, errand), ""
    place_for(session, errand.command.title, errand.argument.uri, "new", "")  # where no file can lie, no model is asked
    if errand.command.makes == "script":
        answer, picture = await _drawn(session, job, turn, progress)
    else:
        answer = await _taken(session, job, turn, progress)
    assert answer.code is not None and answer.path is not None  # a command that makes a file gives both or raises NoEdit
    progress.report("making the file …")
    file = place_for(session, errand.command.title, errand.argument.uri, answer.path.name, answer.code)
    said = await job.finished(create(session, file), partial(_late, session))
    return Outcome(job.id, "applied", said, answer.text, picture, file=file.uri)


def _late(session: Session, task: asyncio.Task[str]) -> None:
    """Tell the user of what the editor does after all, long after the job was stopped; undo takes it back."""
    session.in_background(_told_late(session, task))


async def _told_late(session: Session, task: asyncio.Task[str]) -> None:
    with suppress(AssistantError):
        session.tell(f"{await task} You had stopped it; undo takes it back.")


async def _drawn(session: Session, job: Job, turn: Turn, progress: Progress) -> tuple[Answer, str]:
    """A figure's script and, where the user agrees while it is written, the URI of its picture."""
    from server import drawing  # with the sandbox, which few sessions need

    asked = drawing.ask(session)
    try:
        answer = await _taken(session, job, turn, progress)
        if asked is not None and asked.done() and not asked.exception() and asked.result():
            return await drawing.pictured(session, job, turn, answer, progress)
        return answer, ""
    finally:
        if asked is not None:
            asked.cancel()


EFFECTS: dict[Effect, Callable[[Session, Job, Errand, Progress], Coroutine[Any, Any, Outcome]]] = {
    "answer": _answered,
    "edit": _edited,
    "file": _created,
}
"""How each effect of the table of commands comes about in an editor."""


def _turn(session: Session, errand: Errand) -> Turn:
    """The turn that an errand is: about lines of a document, shown with what stands around them, or beside an excerpt."""
    about = errand.argument
    turn = Turn(errand.command, about.question, problems=about.problems, language=language_named(about.language))
    if errand.command.takes("region"):
        document = shown(session, about.uri).document
        lines = lines_of(document.text, about.range)
        return replace(turn, document=document, lines=lines, instructions=_instructions(session, document))
    return replace(turn, attachments=(excerpt(session, about.uri, about.range),) if about.uri else ())


def _instructions(session: Session, document: Document) -> str:
    """What the project asks of its code, unless the user would rather not have it shown."""
    if document.path is None or not resolve(session.options).project:
        return ""
    found = instructions_for(document.path)
    for sentence in found.notes:
        session.tell(sentence, types.MessageType.Info)
    return found.text


async def _with_diff(session: Session, errand: Errand) -> Turn:
    """A turn about what is staged in git, where the document lies, else in the workspace's first folder."""
    uris = [errand.argument.uri.rpartition("/")[0], *session.folders]
    folder = next((path for uri in uris if (path := path_of(uri)) is not None and path.is_dir()), None)
    if folder is None:
        raise InputError("There is no folder in which to look for staged changes.", "Open a folder of the repository.")
    what = await in_thread(lambda: staged(folder))
    for sentence in what.left_out:
        session.tell(sentence, types.MessageType.Info)
    return Turn(errand.command, piped=what.diff)


async def _patiently(turn: Turn, client: ModelClient) -> AsyncGenerator[Event]:
    """Take the turn; where too many wait for the model already, try again until the user stops it."""
    patience = BUSY_SECONDS
    while True:
        try:
            async with aclosing(take(turn, client)) as events:
                async for event in events:
                    yield event
        except HostBusy as busy:
            yield Waiting("queued", note="many wait for the model; trying again …")
            await asyncio.sleep(busy.retry_after if client.profile.host else min(busy.retry_after, patience))
            patience = max(SHORTEST_BUSY_SECONDS, 0.7 * patience)
        else:
            return


def _said(turn: Turn, answer: Answer) -> str:
    """What a user is to read: a message in its form, else the whole reply."""
    return answer.code if turn.command.makes == "message" and answer.code else answer.text


async def _taken(session: Session, job: Job, turn: Turn, progress: Progress) -> Answer:
    """Take the turn; an answer is shown as it grows where the client has documents that can grow."""
    grows = turn.command.effect == "answer" and session.client.virtual_documents
    text, is_shown, at = "", False, time.monotonic()
    async with connected(session, progress.report) as client, aclosing(_patiently(turn, client)) as events:
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
                    job.reply = event.text
                    if turn.command.effect == "answer" and not is_shown:
                        session.in_background(answers.show(session, answers.keep(session, job.id, _said(turn, event))))
                    return event
            if grows and text and time.monotonic() - at > _STREAM_SECONDS:
                at, uri = time.monotonic(), answers.keep(session, job.id, text)
                if not is_shown:
                    session.in_background(answers.show(session, uri))
                is_shown = True
    raise AssertionError("a turn always ends with an answer")
