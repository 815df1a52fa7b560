"""Chats of this editor: found here or in the history, and one turn of one of them, streamed to the client's token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

from lsprotocol import types

from assistant.answer import Note
from assistant.chatting import Chat, Replied, Said, opened, turn
from assistant.client import Delta, ModelClient, Waiting
from assistant.errors import InputError, UsageError
from assistant.history import erasing, records, searching
from assistant.history.records import Entry, Summary
from server.model import connected, in_thread, waiting_text
from server.options import resolve
from server.session import Session

BATCH_SECONDS = 0.02
"""Pieces of text that come within this time travel together."""


def begin(session: Session, title: str, kept: bool) -> Chat:
    """A new chat; it is kept from its first message on, if `kept` says so and the user wants a history."""
    chat = Chat(title=title, kept=kept and resolve(session.options).history)
    session.chats[chat.id] = chat
    return chat


async def find(session: Session, name: str) -> Chat:
    """The chat of this id, of this editor or in the history.

    Raises:
        UsageError: there is none.
        StorageError: the history cannot be read.
    """
    chat = session.chats.get(name)
    if chat is None and name:
        try:
            chat = await in_thread(lambda: opened(name))
        except InputError:
            chat = None
    if chat is None or chat.id != name:
        raise UsageError(f"There is no chat {name[:100]!r}.", "Create one with starchat/chat/create.")
    return session.chats.setdefault(name, chat)  # another request may have found it meanwhile


async def shown(session: Session, name: str) -> dict[str, Any]:
    """A chat with its messages as they are now.

    Raises:
        UsageError: there is none.
        StorageError: the history cannot be read.
    """
    chat = await find(session, name)
    if chat.kept and not chat.busy:
        kept = await in_thread(lambda: records.entries(name))
        if not chat.busy:  # a turn that has begun meanwhile knows better
            chat.entries = kept or chat.entries
    return {**summary_of(chat), "messages": [message_of(entry) for entry in chat.entries]}


async def listed(session: Session, limit: int, words: str) -> list[dict[str, Any]]:
    """The chats of this editor and of the history, the latest first; with `words` those in which all of them occur.

    Raises:
        StorageError: the history cannot be read.
    """
    if words.strip():
        hits = await in_thread(lambda: searching.search(words, limit))
        return [{**_listed(hit.summary), "excerpt": hit.excerpt} for hit in hits]
    kept = await in_thread(lambda: records.listed(limit))
    known = {summary.id for summary in kept}
    own = [chat for chat in reversed(session.chats.values()) if chat.id not in known and (not chat.kept or not chat.entries)]
    return [*(summary_of(chat) for chat in own), *map(_listed, kept)][:limit]


async def forget(session: Session, name: str) -> None:
    """Delete a chat, here and in the history.

    Raises:
        UsageError: there is none, or it is still answering.
        StorageError: the history cannot be written.
    """
    chat = await find(session, name)
    if chat.busy:
        raise UsageError("This chat is still answering.", "Cancel that request first.")
    if await in_thread(lambda: records.entries(name)):
        await in_thread(lambda: erasing.delete(name))
    session.chats.pop(name, None)


def summary_of(chat: Chat) -> dict[str, Any]:
    """What a list shows of a chat that lives here."""
    return {"chat": chat.id, "title": chat.title, "messages": len(chat.entries), "kept": chat.kept}


def message_of(entry: Entry) -> dict[str, Any]:
    """One message for the client: what the user wrote rather than what was made of it, and what went with it."""
    message: dict[str, Any] = {"role": entry.role, "content": entry.shown}
    optional = {"attached": list(entry.attached), "model": entry.model, "finishReason": entry.finish}
    return message | {name: value for name, value in optional.items() if value}


@contextmanager
def stoppable(session: Session, token: int | str | None) -> Iterator[None]:
    """What the current task does meanwhile is stopped by a cancel of this token's progress."""
    task = asyncio.current_task()
    if token is not None and task is not None:
        session.turns[token] = task
    try:
        yield
    finally:
        if token is not None and session.turns.get(token) is task:
            del session.turns[token]


async def say(session: Session, chat: Chat, said: Said, token: int | str | None) -> dict[str, Any]:
    """Say something, and stream the reply to `token`; what has come stays in the chat where the turn is stopped.

    Raises:
        UsageError: the chat is busy, or nothing was said.
        ChatFull: the conversation has outgrown the window, with numbers.
        AssistantError: whatever else kept the model from answering.
    """
    if chat.busy:
        raise UsageError("This chat is still answering.", "Wait, or cancel that request.")
    stream = _Stream(session, token)
    chat.kept = chat.kept and resolve(session.options).history
    try:
        async with connected(session, stream.tell) as client:
            replied = await _streamed(chat, said, client, stream)
    finally:
        stream.flush()
    usage = {"prompt": replied.usage.prompt, "completion": replied.usage.completion}
    answer = {"chat": chat.id, "text": replied.text, "finishReason": replied.finish_reason, "usage": usage}
    optional = {"leftOut": replied.left_out, "notes": stream.notes}
    return answer | {name: value for name, value in optional.items() if value}


async def _streamed(chat: Chat, said: Said, client: ModelClient, stream: _Stream) -> Replied:
    async with aclosing(turn(chat, said, client)) as items:
        async for item in items:
            match item:
                case Waiting():
                    stream.tell(waiting_text(item), item.progress)
                case Delta(piece):
                    stream.add(piece)
                case Note(sentence):
                    stream.note(sentence)
                case Replied():
                    return item
    raise AssertionError("a turn always ends with its reply")


def _listed(summary: Summary) -> dict[str, Any]:
    shown = {"chat": summary.id, "title": summary.title, "messages": summary.messages, "kept": True}
    return {**shown, "updated": round(summary.updated, 3)}


class _Stream:
    """What goes to the client's token: pieces of text, notes and, before the first piece, what is being waited for."""

    def __init__(self, session: Session, token: int | str | None) -> None:
        self.notes: list[str] = []
        self._session, self._token = session, token
        self._pending: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._told = ""
        self._begun = False

    def add(self, piece: str) -> None:
        self._begun = True
        self._pending.append(piece)
        self._timer = self._timer or _later(self.flush)

    def tell(self, message: str, share: float | None) -> None:
        if message != self._told and not self._begun:
            self._told = message
            self._send({"kind": "status", "message": message})

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)
        self._send({"kind": "note", "message": sentence})

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
