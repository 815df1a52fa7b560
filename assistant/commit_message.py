"""A commit message in the form of Conventional Commits 1.0.0, made of a model's reply or refused.

One that has not the form gets one more try that is told what is wrong.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from assistant.answer import Answer, Note
from assistant.client import ChatRequest, Delta, ModelClient, Waiting
from assistant.commands import Command
from assistant.conversation import Conversation
from assistant.errors import NoEdit
from assistant.exchange import Exchange
from assistant.refusals import NoMessage, Truncated
from assistant.trying import Recipe, Try, until_usable
from assistant.wire import Usage

TYPES = ("feat", "fix", "docs", "test", "refactor", "perf", "build", "ci", "style", "chore", "revert")
LONGEST_SUBJECT = 72
MOST_TOKENS = 300


async def compose(
    command: Command, put: Callable[[Try], Conversation], client: ModelClient, limits: tuple[int | None, float]
) -> AsyncGenerator[Waiting | Delta | Note | Answer]:
    """Ask for a message; the last item is the `Answer`, whose `code` is the message.  `put` gives the prompt of a try.

    limits: the longest reply in tokens, and the temperature.

    Raises:
        NoMessage: neither reply had the form.
    """

    async def request(attempt: Try) -> ChatRequest:
        return ChatRequest(put(attempt), limits[0] or MOST_TOKENS, limits[1], urgency=command.urgency)

    async with aclosing(until_usable(Recipe(command, request, lambda code: False, _outcome), client)) as events:
        async for event in events:
            yield event


def message_of(text: str) -> str:
    """The commit message in a reply: subject, empty line, body wrapped at 72 columns, a newline at the end.

    What may stand before it (a sentence, a fence, a heading) is left out, and so are quotes around it and a full stop.

    Raises:
        NoMessage: no line has the form of a subject, or it is too long.
    """
    lines = [line.strip().strip("*`\"'") if number < 4 else line.rstrip() for number, line in enumerate(_kept(text))]
    place = next((number for number, line in enumerate(lines) if _SUBJECT.match(line)), None)
    if place is None:
        first = next((line for line in lines if line.strip()), "")
        raise NoMessage(f"The first line has not the form `type: summary`: {first[:80]!r}.", "Ask again, or write it yourself.")
    subject = lines[place].strip().rstrip(".")
    if len(subject) > LONGEST_SUBJECT:
        raise NoMessage(
            f"The first line has {len(subject)} characters, {LONGEST_SUBJECT} are the most: {subject!r}.",
            "Ask again, or write it yourself.",
        )
    body = "\n".join(_wrapped(line) for line in lines[place + 1 :]).strip("\n")
    return f"{subject}\n\n{body}\n" if body.strip() else f"{subject}\n"


_SUBJECT = re.compile(rf"(?:{'|'.join(TYPES)})(?:\([\w./, -]{{1,30}}\))?!?: \S")


def _kept(text: str) -> list[str]:
    """The reply's lines without fences, cut at the first that only talks about the message."""
    text = "".join(char for char in text if char.isprintable() or char in "\n\t")  # git would keep what a terminal obeys
    lines = [line for line in text.split("\n") if not re.match(r"\s*(?:`{3,}|~{3,})", line)]
    end = next((number for number, line in enumerate(lines) if number and _AFTERWORD.match(line.strip())), len(lines))
    return lines[:end]


_AFTERWORD = re.compile(r"(?:this|the) (?:commit )?message\b|explanation:|note:|let me know", re.IGNORECASE)


def _wrapped(line: str) -> str:
    bullet = re.match(r"\s*(?:[-*]\s+)?", line)
    indent = " " * len(bullet[0]) if bullet else ""
    return textwrap.fill(line, LONGEST_SUBJECT, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _outcome(exchanged: Exchange, usage: Usage) -> Answer | NoEdit:
    text = exchanged.reply.text
    try:
        if exchanged.finish_reason != "stop":
            raise Truncated("The message was cut off before it was complete.", "Ask again, or commit less at once.")
        return Answer(text, message_of(_said(exchanged)), exchanged.finish_reason, usage)
    except NoEdit as refusal:
        refusal.reply = text
        return refusal


def _said(exchanged: Exchange) -> str:
    """The reply without thoughts: the first block, where the model put the message into one, else the prose."""
    blocks = exchanged.reply.blocks
    return blocks[0].code if blocks and not _SUBJECT.search(exchanged.reply.prose) else exchanged.reply.prose
