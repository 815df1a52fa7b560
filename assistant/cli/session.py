"""From options to a running turn: choose and connect a model, show what happens, hand back the answer."""

from __future__ import annotations

import argparse
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace

from assistant.answer import Answer, Note
from assistant.check import Checked, Plan, fix_checked
from assistant.cli.downloads import consent_of, show_progress
from assistant.cli.options import settings_from
from assistant.cli.terminal import Printer, Progress
from assistant.client import Delta, ModelClient, Waiting, remote
from assistant.host import connect
from assistant.models.prepare import is_remote, prepare
from assistant.plotting import Drawn
from assistant.settings import Settings
from assistant.turn import Event, Turn, take


@dataclass(frozen=True, slots=True)
class Held:
    """A turn that is over: its answer, and the name of the model that gave it."""

    answer: Answer
    model: str
    checked: Checked | None = None


async def hold(turn: Turn, options: argparse.Namespace, printer: Printer | None, plan: Plan | None = None) -> Held:
    """Carry a turn out in front of a person; `printer` shows the text as it comes, None only counts it.

    With a `plan` the turn is a fix that is tried against a check.

    Raises:
        AssistantError: whatever kept the model from answering, or its answer from becoming an edit.
    """
    progress = Progress()
    try:
        async with connected(options, progress) as client:
            events = fix_checked(turn, plan, client) if plan else take(turn, client)
            ended = await show(events, printer, progress)
            answer = ended if isinstance(ended, Answer) else ended.answer
            return Held(answer, client.profile.name, ended if isinstance(ended, Checked) else None)
    finally:
        progress.clear()
        if printer is not None:
            printer.close()


@asynccontextmanager
async def connected(options: argparse.Namespace, progress: Progress) -> AsyncIterator[ModelClient]:
    """A client of the model that the settings ask for: a server at a URL, or a model host on this machine."""
    settings = settings_from(options)
    if settings.model and is_remote(settings.model) and not settings.endpoint:
        settings = replace(settings, endpoint=settings.model, model=None)
    client = await (_remote(settings, progress) if settings.endpoint else _local(settings, options, progress))
    try:
        yield client
    finally:
        await client.close()


async def _remote(settings: Settings, progress: Progress) -> ModelClient:
    client = await remote(settings)
    if client.profile.remote:
        progress.note(f"Your code leaves this machine: {client.profile.host}")
    return client


async def _local(settings: Settings, options: argparse.Namespace, progress: Progress) -> ModelClient:
    with _interruptible(), show_progress() as report:
        spec = prepare(settings, consent_of(options), report)
    return await connect(spec, settings, watch=lambda waiting: progress.show(describe(waiting)))


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends what blocks the event loop, a question or a download, at once; the loop's own handler would wait for it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def show(
    steps: AsyncGenerator[Event | Checked] | AsyncGenerator[Event | Drawn], printer: Printer | None, progress: Progress
) -> Answer | Checked | Drawn:
    """Show what happens on the way; the last event is what is handed back."""
    written = 0
    async with aclosing(steps) as events:
        async for event in events:
            match event:
                case Waiting():
                    show_waiting(event, progress)
                case Delta(text) if printer is not None:
                    progress.clear()
                    printer.write(text)
                case Delta(text):
                    written += len(text)
                    progress.show(f"writing … {written:,} characters")
                case Note(text):
                    progress.note(text)
                case Answer() | Checked() | Drawn():
                    return event
    raise AssertionError("a turn always ends with an answer")


def show_waiting(waiting: Waiting, progress: Progress) -> None:
    """What a waiting user sees: a lasting line for a note, else the changing one."""
    if waiting.note:
        progress.note(waiting.note)
    else:
        progress.show(describe(waiting))


def describe(waiting: Waiting) -> str:
    """What a waiting user is told."""
    match waiting.state:
        case "starting":
            return "starting the model host …"
        case "loading":
            share = f" {waiting.progress:.0%}" if waiting.progress else ""
            return f"loading the model{share} …"
        case "queued":
            return f"waiting, {waiting.ahead} before you …" if waiting.ahead else "waiting …"
        case "reading":
            return "reading …"
        case _:
            return "writing …"
