"""One turn, from what a user asks for to an answer or a safe edit.  The file to read first.

    Turn -> the prompt of its command -> the model's reply, streamed -> Answer, with an EditPlan or a new file's code and path

`take` yields what a front end shows on the way: `Waiting` while nothing has come yet, `Delta` for text as it comes, `Note` for
what a user should know, and last the `Answer`.  Commands that edit go on in `assistant.rewriting`, those that make a file in
`assistant.creating`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from assistant.answer import Answer, Note
from assistant.client import ChatRequest, Delta, ModelClient, Waiting
from assistant.commands import Command
from assistant.commit_message import compose
from assistant.context import attachments_text, fenced, shown_path, shown_region
from assistant.conversation import Conversation, start
from assistant.creating import Creation, create_file
from assistant.creating import conversation_of as conversation_of_new_file
from assistant.document import Document
from assistant.edits import region_of
from assistant.errors import ContextOverflow, UsageError
from assistant.exchange import Exchange, exchange
from assistant.hesitation import NOTHING, Beginning, Hesitations
from assistant.languages import PYTHON, Language, language_named
from assistant.region import Region
from assistant.reply import Reply
from assistant.rewriting import Rewrite, conversation_of, reported, rewrite_region, shown_surroundings
from assistant.suspicions import suspicions
from assistant.syntax import enclosing_definition
from assistant.trying import Try

Event = Waiting | Delta | Note | Answer

_FIRST = Try()

LEAST_ANSWER_TOKENS = 64
"""A question that leaves less of the window for its answer is refused."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a user asks for.

    document, lines: what it is about; lines count from 1, both ends included, and None means the whole document.
    attachments, piped: files and text that the model is shown beside a question; what is piped into `commit` is a diff.
    problems: what tools report about the lines, a sentence each.
    language: what a translation is written in.
    max_tokens: the longest reply; None takes what the window leaves.
    seed: of replies that are drawn.  explain: whether an edit's first try says what is wrong before it writes.
    instructions: what the project asks of its code (`assistant.instructions`), as text before every prompt.
    beginning: what the code of an edit begins with.  waiting: where to put what the model hesitated over, for a caller that
        makes further tries by itself: then there is one try only.
    """

    command: Command
    question: str = ""
    document: Document | None = None
    lines: tuple[int, int] | None = None
    attachments: tuple[Document, ...] = ()
    piped: str = ""
    max_tokens: int | None = None
    temperature: float = 0.0
    problems: tuple[str, ...] = ()
    language: Language | None = None
    seed: int | None = None
    explain: bool = False
    instructions: str = ""
    beginning: Beginning = NOTHING
    waiting: Hesitations | None = None


async def take(turn: Turn, client: ModelClient) -> AsyncGenerator[Event]:
    """Carry one turn out; the last event is the `Answer`.

    Raises:
        ContextOverflow: what must be shown does not fit into the window, with numbers.
        NoEdit: no safe edit could be made of the reply, which the error keeps.
        HostError: the model host or the endpoint failed.
    """
    match turn.command.effect:
        case "answer":
            steps = _answer(turn, client)
        case "edit":
            steps = rewrite_region(await asyncio.to_thread(_rewrite, turn), client)  # it parses the whole file
        case "file":
            steps = create_file(_creation(turn), client)
    async with aclosing(steps) as events:
        async for event in events:
            yield event


def shown(turn: Turn) -> Conversation:
    """What the model is shown first in this turn."""
    match turn.command.effect:
        case "edit":
            rewriting = _rewrite(turn)
            return conversation_of(rewriting, rewriting.first)
        case "file":
            return conversation_of_new_file(_creation(turn), Try())
        case _:
            return _question(turn)


def _question(turn: Turn, attempt: Try = _FIRST) -> Conversation:
    """A command that answers, put to the model; one that is about a region is shown it, with what stands around it."""
    files = attachments_text(turn.attachments, turn.piped)
    language, file = (turn.document.language.name, shown_path(turn.document.path)) if turn.document else ("", "")
    values = {
        "language": language,
        "file": file,
        "question": turn.question,
        "files": files,
        "diff": fenced(turn.piped),
        "problems": reported(turn.problems),
    }
    if turn.command.takes("region"):
        document, region = _subject(turn)
        values |= {
            "context": shown_surroundings(document, region).text,
            "region": shown_region(document, region),
        }
    with_files = files and attempt.section == "user" and turn.command.has("user with files")
    section = "user with files" if with_files else attempt.section
    said = turn.command.prompt(section, **values, **attempt.values).strip()
    return start(turn.instructions + said, turn.command.prompt("system"))


async def _answer(turn: Turn, client: ModelClient) -> AsyncGenerator[Event]:
    conversation = shown(turn)
    await _check_room(turn, conversation, client)
    if turn.command.makes == "message":
        async with aclosing(
            compose(turn.command, partial(_question, turn), client, (turn.max_tokens, turn.temperature))
        ) as events:
            async for event in events:
                yield event
        return
    request = ChatRequest(conversation, turn.max_tokens, turn.temperature, urgency=turn.command.urgency)
    async with aclosing(exchange(client, request)) as items:
        async for item in items:
            if isinstance(item, Exchange):
                yield Answer(item.reply.text, _code(item.reply), item.finish_reason, item.usage)
            else:
                yield item


async def _check_room(turn: Turn, conversation: Conversation, client: ModelClient) -> None:
    prompt = await client.count(conversation)
    if prompt.limit is not None and prompt.count + LEAST_ANSWER_TOKENS > prompt.limit:
        about = "" if prompt.exact else "about "
        raise ContextOverflow(
            f"The question has {about}{prompt.count:,} tokens; the model's window holds {prompt.limit:,}, answer included.",
            f"{'Choose fewer lines' if turn.document else 'Attach fewer or shorter files'}, or a model with a larger window.",
        )


def _code(reply: Reply) -> str | None:
    return reply.blocks[0].code if reply.blocks else None


def _rewrite(turn: Turn) -> Rewrite:
    document, region = _subject(turn)
    seen = suspicions(document, region) if turn.command.name == "fix" else ()
    return Rewrite(
        turn.command,
        document,
        region,
        turn.max_tokens,
        turn.temperature,
        (*turn.problems, *seen),
        turn.question,
        seed=turn.seed,
        first=Try("unchanged") if turn.explain and turn.command.has("unchanged") else Try(beginning=turn.beginning),
        instructions=turn.instructions,
        waiting=turn.waiting,
    )


def _creation(turn: Turn) -> Creation:
    document, region = _subject(turn) if turn.command.takes("region") else (None, None)
    return Creation(
        turn.command,
        _language(turn),
        turn.question,
        document,
        region,
        turn.attachments,
        turn.piped,
        turn.max_tokens,
        turn.temperature,
        turn.problems,
        turn.instructions,
    )


def _language(turn: Turn) -> Language:
    """The language of a new file: the one asked for, else that of what it is made from; figures are drawn in Python."""
    if turn.command.makes == "translation" and turn.language is None:
        raise UsageError(f"`{turn.command.name}` needs a language.", "Name one, such as JavaScript.")
    return turn.language or language_named(turn.command.language) or (turn.document.language if turn.document else PYTHON)


def _subject(turn: Turn) -> tuple[Document, Region]:
    """The document and the region that the turn is about."""
    if turn.document is None:
        raise UsageError(f"`{turn.command.name}` needs a file.", "Name one.")
    wanted = turn.command.languages
    if wanted and turn.document.language.name not in wanted:
        raise UsageError(f"`{turn.command.name}` is for {', '.join(wanted)}.", f"This is {turn.document.language.name}.")
    return turn.document, region_around(turn.document, turn.lines)


def region_around(document: Document, lines: tuple[int, int] | None) -> Region:
    """The lines asked for; a single line is a cursor, and means the definition around it."""
    region = region_of(document, lines)
    if lines is None or len(region) > 1:
        return region
    around = enclosing_definition(document.text, document.language, region.start)
    return Region(around[0], around[1] + 1) if around else region
