"""Conversations of this editor, kept in memory, and one turn of one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from lsprotocol import types

from assistant.client import ChatRequest, Delta, ModelClient, Waiting
from assistant.commands import command
from assistant.context import attachments_text
from assistant.conversation import Conversation, start
from assistant.document import Document
from assistant.errors import ContextOverflow, UsageError
from assistant.exchange import Exchange, exchange
from assistant.turn import LEAST_ANSWER_TOKENS
from server.files import excerpt
from server.model import connected, waiting_text
from server.session import Session

BATCH_SECONDS = 0.02
"""Pieces of text that come within this time travel together."""

_numbers = count(1)


@dataclass(slots=True)
class Chat:
    """One conversation; `conversation` is None before its first turn, `busy` while a turn is under way."""

    title: str = ""
    id: str = field(default_factory=lambda: f"chat-{next(_numbers)}")
    conversation: Conversation | None = None
    busy: bool = False

    def summary(self) -> dict[str, Any]:
        """What a list shows of it."""
        return {"chat": self.id, "title": self.title, "messages": len(self.conversation.turns) if self.conversation else 0}


def find(session: Session, name: str) -> Chat:
    """The chat of this id.

    Raises:
        UsageError: there is none.
    """
    chat = session.chats.get(name)
    if chat is None:
        raise UsageError(f"There is no chat {name[:100]!r}.", "Create one with starchat/chat/create.")
    return chat


async def turn(session: Session, chat: Chat, text: str, context: list[Any], token: int | str | None) -> dict[str, Any]:
    """Say `text`, and stream the reply to `token`; what has come stays in the chat where the turn is stopped.

    Raises:
        UsageError: the chat is busy.
        ContextOverflow: the conversation does not fit into the window any more, with numbers.
        AssistantError: whatever kept the model from answering.
    """
    if chat.busy:
        raise UsageError("This chat is still answering.", "Wait, or cancel that request.")
    question = _asked(chat, text, tuple(excerpt(session, each.uri, each.range) for each in context))
    stream = _Stream(session, token)
    chat.busy, chat.title = True, chat.title or text.strip().split("\n")[0][:60]
    try:
        async with connected(session, stream.tell) as client:
            await _check_room(question, client)
            done = await _streamed(question, client, stream)
    finally:
        chat.busy = False
        stream.flush()
        chat.conversation = question.then("assistant", stream.text) if stream.text else chat.conversation
    usage = {"prompt": done.usage.prompt, "completion": done.usage.completion}
    return {"chat": chat.id, "text": done.reply.text, "finishReason": done.finish_reason, "usage": usage}


async def _streamed(question: Conversation, client: ModelClient, stream: _Stream) -> Exchange:
    async with aclosing(exchange(client, ChatRequest(question))) as items:
        async for item in items:
            match item:
                case Waiting():
                    stream.tell(waiting_text(item), item.progress)
                case Delta(piece):
                    stream.add(piece)
                case Exchange():
                    return item
    raise AssertionError("an exchange always ends with itself")


async def _check_room(question: Conversation, client: ModelClient) -> None:
    prompt = await client.count(question)
    if prompt.limit is not None and prompt.count + LEAST_ANSWER_TOKENS > prompt.limit:
        raise ContextOverflow(
            f"The chat has {prompt.count:,} tokens; the model's window holds {prompt.limit:,}, the answer included.",
            "Start a new chat, or attach less.",
        )


def _asked(chat: Chat, text: str, attached: tuple[Document, ...]) -> Conversation:
    """The conversation with the user's message at its end, in the words in which `ask` puts a question."""
    ask, files = command("ask"), attachments_text(attached)
    said = ask.prompt("user with files" if files else "user", files=files, question=text).strip()
    return chat.conversation.then("user", said) if chat.conversation else start(said, ask.prompt("system"))


class _Stream:
    """What goes to the client's token: `{"kind": "delta", "text"}` and, before the first, `{"kind": "status", "message"}`."""

    def __init__(self, session: Session, token: int | str | None) -> None:
        self.text = ""
        self._session, self._token = session, token
        self._pending: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._told = ""

    def add(self, piece: str) -> None:
        self.text += piece
        self._pending.append(piece)
        self._timer = self._timer or _later(self.flush)

    def tell(self, message: str, share: float | None) -> None:
        if message != self._told and not self.text:
            self._told = message
            self._send({"kind": "status", "message": message})

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pending:
            self._send({"kind": "delta", "text": "".join(self._pending)})
            self._pending.clear()

    def _send(self, value: dict[str, Any]) -> None:
        if self._token is not None:
            self._session.editor.progress(types.ProgressParams(self._token, value))


def _later(work: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(BATCH_SECONDS, work)
