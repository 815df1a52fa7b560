"""One turn of a chat in front of a person, or as a line of JSON: Ctrl-C stops the answer, a closed terminal keeps what came."""

from __future__ import annotations

import asyncio
import errno
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import aclosing, contextmanager, nullcontext
from dataclasses import replace

from assistant.answer import Note
from assistant.chatting import Chat, Replied, Said, turn
from assistant.cli.asking import CUT
from assistant.cli.chat_room import Room
from assistant.cli.output import as_json
from assistant.cli.session import connected, show_waiting
from assistant.cli.terminal import Printer, Progress, answer_printer, confirm, printable, unechoed
from assistant.client import Delta, Waiting
from assistant.errors import AssistantError, Cancelled, ChatFull

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGHUP", "SIGTERM") if hasattr(signal, name))


def say(room: Room, said: Said) -> int:
    """Say it and show the answer; returns the exit code that this alone would have.

    Raises:
        AssistantError: whatever kept the model from answering.
    """
    said = replace(said, when_full="leave out" if room.shorten else "refuse")
    room.last, room.answered, room.attached = said, False, ()
    try:
        _answered(room, said)
    except ChatFull as error:
        if not room.interactive:
            raise
        print(f"{printable(error.message)}")
        if not confirm("Leave out the oldest messages from now on?", default=True):
            room.attached = said.attachments
            print("/new begins a new chat; /retry asks again.")
            return error.exit_code
        room.shorten = True
        return say(room, said)
    except KeyboardInterrupt:
        if not room.interactive:
            raise
        print("\n(stopped)", file=sys.stderr)
        return Cancelled.exit_code
    except asyncio.CancelledError:  # the terminal was closed, or somebody ended us: what has come is kept
        return room.left or 0
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        room.left = 129  # nobody can see anything any more
    return 0


def show_error(room: Room, error: AssistantError) -> int:
    """Show an error as one line, on standard output as JSON where that is spoken; returns its exit code."""
    if getattr(room.options, "debug", False):
        traceback.print_exception(error)
    if room.options.json:
        shown = {"code": error.code, "message": error.message, "remedy": error.remedy}
        print(as_json({"error": shown}), flush=True)
    else:
        sys.stdout.flush()
        print(f"assistant: {printable(' '.join(str(error).splitlines()))}", file=sys.stderr)
    return error.exit_code


def _answered(room: Room, said: Said) -> None:
    progress = Progress()
    notes: list[str] = []
    printer = None if room.options.json else answer_printer(stream=True)
    try:
        with unechoed() if room.interactive else nullcontext():
            replied = asyncio.run(_taken(room, said, printer, progress, notes))
    finally:
        progress.clear()
        if printer is not None:
            printer.close()
    if room.options.json:
        print(as_json(_as_json(room.chat, replied, notes)), flush=True)
    elif replied.finish_reason in CUT:
        progress.note(CUT[replied.finish_reason])
    if room.interactive:
        print()


async def _taken(room: Room, said: Said, printer: Printer | None, progress: Progress, notes: list[str]) -> Replied:
    async with connected(room.options, progress) as client:
        with _leaving(room):
            async with aclosing(turn(room.chat, said, client)) as events:
                async for event in events:
                    match event:
                        case Waiting():
                            show_waiting(event, progress)
                        case Delta(text):
                            room.answered = True
                            progress.clear()
                            if printer is not None:
                                printer.write(text)
                        case Note(text):
                            notes.append(text)
                            progress.note(text)
                        case Replied():
                            return event
    raise AssertionError("a turn always ends with its reply")


@contextmanager
def _leaving(room: Room) -> Iterator[None]:
    """While an answer comes, a closed terminal or a polite end stops it in order: the room is left once it is kept."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def leave(number: int) -> None:
        room.left = 128 + number
        if task is not None:
            task.cancel()

    try:
        for number in _SIGNALS:
            loop.add_signal_handler(number, leave, number)
    except NotImplementedError:  # Windows
        yield
        return
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def _as_json(chat: Chat, replied: Replied, notes: list[str]) -> dict[str, object]:
    return {
        "chat": chat.id,
        "text": replied.text,
        "code": replied.code,
        "model": replied.model,
        "usage": replied.usage.as_openai(),
        "finish_reason": replied.finish_reason,
        "left_out": replied.left_out,
        "notes": notes,
    }
