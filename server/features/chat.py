"""`starchat/chat/*`: conversations, their turns streamed to a token that the client chose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lsprotocol import types

from server.session import Session


@dataclass(frozen=True, slots=True)
class ChatId:
    """The parameters of `show` and `delete`."""

    chat: str


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of a document that go with a message; without a range all of it."""

    uri: str
    range: types.Range | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """The parameters of `turn`.  `token`: where the reply is streamed; without one it comes as a whole."""

    chat: str
    text: str
    context: list[Excerpt] = field(default_factory=list)
    token: int | str | None = None


def create(session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
    """A new chat."""
    from server.chats import Chat

    title = params.get("title")
    chat = Chat(title[:200] if isinstance(title, str) else "")
    session.chats[chat.id] = chat
    return {"chat": chat.id}


async def turn(session: Session, params: Said) -> dict[str, Any]:
    """Say something; the reply comes when the answer is whole.  Cancelling the request stops the model."""
    from server import chats

    return await chats.turn(session, chats.find(session, params.chat), params.text, params.context, params.token)


def listed(session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
    """All chats, the latest first."""
    return {"chats": [chat.summary() for chat in reversed(session.chats.values())]}


def show(session: Session, params: ChatId) -> dict[str, Any]:
    """One chat with its messages, without the system's."""
    from server.chats import find

    chat = find(session, params.chat)
    turns = chat.conversation.turns if chat.conversation else ()
    return {**chat.summary(), "messages": [{"role": each.role, "content": each.content} for each in turns]}


def delete(session: Session, params: ChatId) -> dict[str, Any]:
    """Forget a chat."""
    from server.chats import find

    del session.chats[find(session, params.chat).id]
    return {"deleted": params.chat}
