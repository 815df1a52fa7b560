"""One turn of a chat, the same for every front end: what is said, what the model is shown of it, what is kept.

    Said -> the words of its command -> the conversation so far, as much as the window holds -> the reply, streamed -> Replied

A chat that is kept lies in the history (`assistant.history`), where every turn reads it anew: a chat begun in the shell goes on
in the editor.  A question is kept before the model is asked, an answer while it grows and when it ends, however it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal

from assistant.answer import Note
from assistant.attachments import Attachment, text_of
from assistant.client import ChatRequest, Delta, ModelClient, TokenCount, Waiting
from assistant.commands import Command, command
from assistant.conversation import Conversation, Message, start
from assistant.errors import ChatFull, ContextOverflow, StorageError, UsageError
from assistant.exchange import Exchange, exchange
from assistant.history import records
from assistant.history.exporting import answered
from assistant.history.records import Entry, new_id, title_of
from assistant.keeping import Keeping
from assistant.turn import LEAST_ANSWER_TOKENS
from assistant.wire import FinishReason, Usage

WhenFull = Literal["refuse", "leave out"]
"""What becomes of a chat that has outgrown the window: it is refused with numbers, or its oldest messages are left out.

That they are is always said.
"""

ANSWER_SHARE = 4
"""Where messages are left out, so many that one part in so many of the window is free for answers to come."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a user says.

    command: in whose words the model is asked.
    """

    text: str
    attachments: tuple[Attachment, ...] = ()
    command: Command = field(default_factory=lambda: command("ask"))
    when_full: WhenFull = "refuse"
    max_tokens: int | None = None
    temperature: float = 0.0


@dataclass(slots=True)
class Chat:
    """A conversation that goes on.

    kept: whether it lies in the history.
    entries: its messages so far.  left_out: how many of them, from the first on, the model is not shown any more.
    busy: whether a turn is under way.
    """

    id: str = field(default_factory=new_id)
    title: str = ""
    kept: bool = True
    entries: tuple[Entry, ...] = ()
    left_out: int = 0
    busy: bool = False

    @property
    def messages(self) -> tuple[Entry, ...]:
        """The messages that were answered, and their answers."""
        return answered(self.entries)


@dataclass(frozen=True, slots=True)
class Replied:
    """How a turn ended.  code: the first fenced block; left_out: as in `Chat`."""

    text: str
    code: str | None
    finish_reason: FinishReason
    usage: Usage
    model: str
    left_out: int = 0


Event = Waiting | Delta | Note | Replied


async def turn(chat: Chat, said: Said, client: ModelClient) -> AsyncGenerator[Event]:
    """Say something; the last event is the `Replied`.  A turn that is stopped keeps what has come.

    Raises:
        UsageError: nothing was said, or the chat is still answering.
        ChatFull: the conversation has outgrown the window, with numbers; `Said.when_full` can have its beginning left out.
        ContextOverflow: the question alone does not fit.
        AssistantError: whatever kept the model from answering.
    """
    if chat.busy:
        raise UsageError("This chat is still answering.", "Wait, or cancel that request.")
    question = asked(said)
    chat.busy = True
    try:
        for note in await _brought_up_to_date(chat):
            yield note
        conversation = await _fitting(chat, said, question, client)
        if conversation.note:
            yield Note(conversation.note)
        async with aclosing(_answered(chat, said, question, conversation.shown, client)) as events:
            async for event in events:
                yield event
    finally:
        chat.busy = False


def asked(said: Said) -> Entry:
    """What is said as the message that the model is shown.

    Raises:
        UsageError: nothing was said, or its command lacks what it is about.
    """
    if not (said.text.strip() or said.attachments or said.command.name != "ask"):
        raise UsageError("Nothing was said.", "Ask something.")
    row, text, files = said.command, _valid(said.text), _valid(text_of(said.attachments))
    if not files and (row.takes("region") or row.takes("diff")):
        raise UsageError(f"`{row.name}` needs something to look at.", "Attach a file or a diff.")
    section = "user with files" if files and row.has("user with files") else "user"
    values = {"question": text, "files": files, "region": files, "context": "", "problems": "", "diff": files}
    values |= {"file": ", ".join(_valid(each.name) for each in said.attachments), "language": ""}
    content = row.prompt(section, **values).strip()
    if text.strip() and not row.takes("question"):
        content = f"{content}\n\n{text.strip()}"
    names = tuple(_valid(each.name) for each in said.attachments)
    typed = text if row.name == "ask" else f"/{row.name} {text}".strip()
    return Entry("user", content, "" if typed == content else typed or f"({', '.join(names)})", names)


def opened(name: str) -> Chat:
    """The kept conversation of this id, or of the only one that begins with it, as a chat that goes on.

    Raises:
        InputError: there is none, or there are several.
        StorageError: the history cannot be read.
    """
    summary = records.find(name)
    return Chat(summary.id, summary.title, entries=records.entries(summary.id))


def take_back(chat: Chat, count: int) -> tuple[Entry, ...]:
    """Remove the last `count` messages from a chat, kept or not; returns them.

    Raises:
        StorageError: the history cannot be written; all of them stay.
    """
    if chat.kept:
        chat.entries = records.entries(chat.id)  # what was said a moment ago has its number only there
    gone = chat.entries[-count:] if count else ()
    if chat.kept and gone:
        records.take_back(chat.id, [entry.number for entry in gone])
    chat.entries = chat.entries[: len(chat.entries) - len(gone)]
    chat.left_out = min(chat.left_out, len(chat.messages))
    return gone


async def _brought_up_to_date(chat: Chat) -> list[Note]:
    """Read what the history has of the chat: another shell or editor may have gone on with it."""
    if not chat.kept:
        return []
    try:
        entries = await asyncio.to_thread(records.entries, chat.id)
    except StorageError as error:
        chat.kept = False
        return [Note(without_history(error))]
    forgotten = bool(chat.entries) and not entries
    chat.entries = entries
    return [Note("This conversation was deleted meanwhile; it begins anew.")] if forgotten else []


def without_history(error: StorageError) -> str:
    """What a user is told whose chat can no longer be kept."""
    return f"{error} This chat goes on, but is not kept from here on."


@dataclass(frozen=True, slots=True)
class _Fitting:
    """What the model is shown, and what to tell the user about it."""

    shown: Conversation
    note: str = ""


async def _fitting(chat: Chat, said: Said, question: Entry, client: ModelClient) -> _Fitting:
    """The conversation with the question at its end, within the window."""
    messages = chat.messages
    chat.left_out = min(chat.left_out, len(messages))
    whole = _conversation(said.command, messages[chat.left_out :], question)
    count = await _counted(whole, client)
    if count and _fits(count):
        return _Fitting(whole)
    alone = await client.count(_conversation(said.command, (), question))
    if alone.limit is None or not _fits(alone):
        raise ContextOverflow(
            f"The message has {_tokens(alone)}; the model's window holds {alone.limit or 0:,}, answer included.",
            "Attach fewer or shorter files, or choose a model with a larger window.",
        )
    if said.when_full == "refuse":
        raise ChatFull(
            f"The chat has grown to {_tokens(count)}; the model's window holds {alone.limit:,}, answer included.",
            "Begin a new chat, or have its oldest messages left out.",
        )
    return await _shortened(chat, said, question, client, max(alone.limit - alone.limit // ANSWER_SHARE, alone.count))


async def _shortened(chat: Chat, said: Said, question: Entry, client: ModelClient, room: int) -> _Fitting:
    """Leave out the fewest of the oldest exchanges, so that what is left has at most `room` tokens."""
    messages = chat.messages
    low, high = chat.left_out // 2 + 1, len(messages) // 2
    while low < high:
        middle = (low + high) // 2
        shorter = await _counted(_conversation(said.command, messages[2 * middle :], question), client)
        low, high = (low, middle) if shorter and shorter.count <= room else (middle + 1, high)
    chat.left_out = 2 * low
    note = (
        f"The first {chat.left_out} of {len(messages)} messages no longer fit into the model's window:"
        " they stay in the chat, but the model is not shown them any more."
    )
    return _Fitting(_conversation(said.command, messages[chat.left_out :], question), note)


async def _counted(conversation: Conversation, client: ModelClient) -> TokenCount | None:
    """The tokens of a conversation; None where it is so long that the host does not even count it."""
    try:
        return await client.count(conversation)
    except ContextOverflow:
        return None


def _fits(count: TokenCount) -> bool:
    return count.limit is None or count.count + LEAST_ANSWER_TOKENS <= count.limit


def _tokens(count: TokenCount | None) -> str:
    return f"{'' if count.exact else 'about '}{count.count:,} tokens" if count else "many times more tokens than fit"


def _conversation(row: Command, messages: Sequence[Entry], question: Entry) -> Conversation:
    opening = start(question.content, row.prompt("system")).messages[:-1]
    return Conversation((*opening, *(Message(each.role, each.content) for each in (*messages, question))))


async def _answered(chat: Chat, said: Said, question: Entry, shown: Conversation, client: ModelClient) -> AsyncGenerator[Event]:
    """Ask the model; the chat gets the question and whatever comes of the answer."""
    keeping = Keeping(chat.id, chat.title) if chat.kept else None
    chat.title = chat.title or title_of(question.shown)
    model, text, finish = client.profile.name, "", "interrupted"
    try:
        if keeping:
            await keeping.question(question)
        request = ChatRequest(shown, said.max_tokens, said.temperature, urgency=said.command.urgency)
        async with aclosing(exchange(client, request)) as items:
            async for item in items:
                match item:
                    case Delta(piece):
                        text += piece
                        if keeping:
                            keeping.grow(text, model)
                        yield item
                    case Exchange():
                        finish = item.finish_reason
                        code = item.reply.blocks[0].code if item.reply.blocks else None
                        replied = Replied(item.reply.text, code, item.finish_reason, item.usage, model, chat.left_out)
                    case Waiting():
                        yield item
    finally:
        if text:
            chat.entries = (*chat.entries, question, Entry("assistant", text, model=model, finish=finish))
        if keeping:
            await keeping.end(text, model, finish)
            chat.kept = keeping.complaint is None
    if keeping and keeping.complaint:
        yield Note(without_history(keeping.complaint))
    yield replied


def _valid(text: str) -> str:
    """`text` with halves of characters shown as such, for neither a tokenizer nor a file takes them."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
