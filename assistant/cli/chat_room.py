"""What `assistant chat` does: reads what is said, carries commands out, shows answers, until the user leaves."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from assistant.attachments import Attachment
from assistant.chatting import Chat, Said, opened
from assistant.cli.options import settings_from
from assistant.errors import AssistantError, UsageError


@dataclass(slots=True)
class Room:
    """One chat in front of a person, or at the end of a pipe.

    attached: what goes with the next message.
    last: what was said last, for saying it again.  answered: whether anything of an answer to it came.
    shorten: whether the oldest messages may be left out.  draft: what the next line begins with.
    interactive: whether somebody sits at a terminal.  left: the exit code, once the room is to be left.
    """

    options: argparse.Namespace
    chat: Chat
    interactive: bool
    keeps: bool
    attached: tuple[Attachment, ...] = ()
    last: Said | None = None
    answered: bool = False
    shorten: bool = False
    draft: str = ""
    left: int | None = None


def chat(options: argparse.Namespace) -> int:
    """Chat until the user leaves; returns the exit code: that of the last message that failed, where there is nobody to see it.

    Raises:
        AssistantError: the chat cannot begin.
    """
    from assistant.cli import chat_lines
    from assistant.cli.chat_commands import attach

    room = _entered(options)
    for name in options.file:
        attach(room, name)
    if room.interactive:
        chat_lines.prepare(keeps=room.keeps)
        _greet(room)
        _warm_up(options)
    code = 0
    for line in _lines(room):
        failed = _heard(room, line)
        code = code if room.interactive else failed or code
        if room.left is not None:
            return room.left
    return code


def _entered(options: argparse.Namespace) -> Room:
    """The room, with the conversation that was asked for."""
    keeps = settings_from(options).history and not options.no_history
    interactive = sys.stdin.isatty() and sys.stdout.isatty() and not options.json
    talk = _resumed(options, interactive=interactive) if options.last or options.resume is not None else Chat()
    talk.kept = keeps
    return Room(options, talk, interactive, keeps, shorten=options.shorten)


def _resumed(options: argparse.Namespace, *, interactive: bool) -> Chat:
    from assistant.cli.history_verbs import named, print_summaries
    from assistant.history.records import listed

    if options.resume or options.last or not interactive:
        return opened(named(options.resume or None).id)
    found = listed(10)
    if not found:
        return opened(named(None).id)
    print_summaries(found)
    with suppress(EOFError):
        return opened(input("Which one? [the first] ").strip() or found[0].id)
    raise UsageError("No conversation was chosen.", "Begin a new one without --resume.")


def _greet(room: Room) -> None:
    from assistant.cli.history_verbs import print_conversation
    from assistant.cli.terminal import printable

    entries = room.chat.entries
    if entries:
        print_conversation(entries[-2:])
        print(f"\nGoing on with {room.chat.id}, “{printable(room.chat.title)}” ({len(entries)} messages).", end=" ")
    else:
        print("A new chat." if room.keeps else "A new chat, of which nothing is kept.", end=" ")
    print("/help lists commands, Ctrl-C stops an answer, Ctrl-D leaves.")


def _lines(room: Room) -> Iterator[str]:
    """What is said: the message of the command line first, then line by line."""
    from assistant.cli import chat_lines

    if room.options.message.strip():
        yield room.options.message
        if not room.interactive and sys.stdin.isatty():
            return
    yield from chat_lines.typed(room) if room.interactive else chat_lines.piped()


def _heard(room: Room, line: str) -> int:
    """Carry out one line; errors are shown and the chat goes on.  Returns the exit code that the line alone would have."""
    from assistant.cli.chat_commands import carry_out
    from assistant.cli.chat_turn import say, show_error

    try:
        said = carry_out(room, line)
        return say(room, said) if said is not None else 0
    except AssistantError as error:
        return show_error(room, error)


def _warm_up(options: argparse.Namespace) -> None:
    """Load a model that lies on the disk while the user still types; whatever fails is told when something is asked."""
    import asyncio
    import threading

    from assistant.host import connect
    from assistant.models.prepare import is_remote, on_disk, prepare

    async def warm() -> None:
        settings = settings_from(options)
        if settings.endpoint or (settings.model and is_remote(settings.model)) or not on_disk(settings):
            return
        spec = prepare(settings, lambda offer: False, lambda progress: None)
        client = await connect(spec, settings, lambda waiting: None)
        await client.close()

    def work() -> None:
        with suppress(AssistantError, OSError):
            asyncio.run(warm())

    threading.Thread(target=work, name="warm up", daemon=True).start()
