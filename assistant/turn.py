"""One turn, from what a user asks for to an answer or a safe edit.  The file to read first.

    Turn -> the prompt of its command -> the model's reply, streamed -> Answer, with an EditPlan where the command edits

`take` yields what a front end shows on the way: `Waiting` while nothing has come yet, `Delta` for text as it comes, `Note` for
what a user should know, and last the `Answer`.  Commands that edit go on in `assistant.rewriting`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from assistant.answer import Answer, Note
from assistant.client import ChatRequest, Delta, ModelClient, Waiting
from assistant.commands import Command
from assistant.context import attachments_text
from assistant.conversation import Conversation, start
from assistant.document import Document
from assistant.edits import region_of
from assistant.errors import ContextOverflow, UsageError
from assistant.exchange import Exchange, exchange
from assistant.region import Region
from assistant.reply import Reply
from assistant.rewriting import Rewrite, Try, conversation_of, rewrite_region
from assistant.syntax import enclosing_definition

Event = Waiting | Delta | Note | Answer

LEAST_ANSWER_TOKENS = 64
"""A question that leaves less of the window for its answer is refused."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a user asks for.

    document, lines: what an edit is about; lines count from 1, both ends included, and None means the whole document.
    attachments, piped: files and text that the model is shown beside a question.
    problems: what tools report about the lines of an edit, a sentence each.
    max_tokens: the longest reply; None takes what the window leaves.
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


async def take(turn: Turn, client: ModelClient) -> AsyncGenerator[Event]:
    """Carry one turn out; the last event is the `Answer`.

    Raises:
        ContextOverflow: what must be shown does not fit into the window, with numbers.
        NoEdit: no safe edit could be made of the reply, which the error keeps.
        HostError: the model host or the endpoint failed.
    """
    steps = _answer(turn, client) if turn.command.effect == "answer" else rewrite_region(_rewrite(turn), client)
    async with aclosing(steps) as events:
        async for event in events:
            yield event


def shown(turn: Turn) -> Conversation:
    """What the model is shown first in this turn."""
    if turn.command.effect == "edit":
        return conversation_of(_rewrite(turn), Try())
    files = attachments_text(turn.attachments, turn.piped)
    section = "user with files" if files else "user"
    return start(turn.command.prompt(section, files=files, question=turn.question).strip(), turn.command.prompt("system"))


async def _answer(turn: Turn, client: ModelClient) -> AsyncGenerator[Event]:
    conversation = shown(turn)
    await _check_room(conversation, client)
    request = ChatRequest(conversation, turn.max_tokens, turn.temperature, urgency=turn.command.urgency)
    async with aclosing(exchange(client, request)) as items:
        async for item in items:
            if isinstance(item, Exchange):
                yield Answer(item.reply.text, _code(item.reply), item.finish_reason, item.usage)
            else:
                yield item


async def _check_room(conversation: Conversation, client: ModelClient) -> None:
    prompt = await client.count(conversation)
    if prompt.limit is not None and prompt.count + LEAST_ANSWER_TOKENS > prompt.limit:
        about = "" if prompt.exact else "about "
        raise ContextOverflow(
            f"The question has {about}{prompt.count:,} tokens; the model's window holds {prompt.limit:,}, answer included.",
            "Attach fewer or shorter files, or choose a model with a larger window.",
        )


def _code(reply: Reply) -> str | None:
    return reply.blocks[0].code if reply.blocks else None


def _rewrite(turn: Turn) -> Rewrite:
    if turn.document is None:
        raise UsageError(f"`{turn.command.name}` needs a file.", "Name one.")
    return Rewrite(
        turn.command, turn.document, _region(turn.document, turn.lines), turn.max_tokens, turn.temperature, turn.problems
    )


def _region(document: Document, lines: tuple[int, int] | None) -> Region:
    """The lines asked for; a single line is a cursor, and means the definition around it."""
    region = region_of(document, lines)
    if lines is None or len(region) > 1:
        return region
    around = enclosing_definition(document.text, document.language, region.start)
    return Region(around[0], around[1] + 1) if around else region
