"""`starchat/chat/*`: conversations, their turns streamed to a token that the client chose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lsprotocol import types

from server.session import Session

LIMIT = 100
"""Chats in a list, unless the client asks for another number."""


@dataclass(frozen=True, slots=True)
class ChatId:
    """The parameters of `show` and `delete`."""

    chat: str


@dataclass(frozen=True, slots=True)
class Reference:
    """One thing to attach.

    kind: `selection`, `file`, `diagnostics` or `diff`; left out, a range makes it a selection, and none a file.
    uri: the document; for a diff any file or folder of the repository, or nothing for the first workspace folder.
    range: the selected lines.  diagnostics: as the client has them.  staged: of a diff, what a commit would take alone.
    """

    kind: str = ""
    uri: str = ""
    range: types.Range | None = None
    diagnostics: list[types.Diagnostic] = field(default_factory=list)
    staged: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """The parameters of `turn`.

    context: what goes with the message.  token: where the reply is streamed; without one it comes as a whole.
    shorten: whether the oldest messages may be left out where the chat has outgrown the window.
    """

    chat: str
    text: str
    context: list[Reference] = field(default_factory=list)
    token: int | str | None = None
    shorten: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """The parameters of `list`."""

    limit: int = LIMIT
    search: str = ""


async def create(session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
    """A new chat; `kept: false` keeps it out of the history, whatever the settings say."""
    from server.chats import begin

    await session.settled()
    title = params.get("title")
    chat = begin(session, title[:200] if isinstance(title, str) else "", kept=params.get("kept") is not False)
    return {"chat": chat.id, "kept": chat.kept}


async def turn(session: Session, params: Message) -> dict[str, Any]:
    """Say something; the reply comes when the answer is whole.  Cancelling the request stops the model."""
    from assistant.chatting import Said
    from server import chats
    from server.chat_context import attached

    with chats.stoppable(session, params.token):
        await session.settled()
        chat = await chats.find(session, params.chat)
        context = await attached(session, params.context)
        said = Said(params.text, context, when_full="leave out" if params.shorten else "refuse")
        return await chats.say(session, chat, said, params.token)


async def listed(session: Session, params: Listing) -> dict[str, Any]:
    """The chats of this editor and of the history, the latest first."""
    from server.chats import listed

    return {"chats": await listed(session, max(1, params.limit), params.search)}


async def show(session: Session, params: ChatId) -> dict[str, Any]:
    """One chat with its messages."""
    from server.chats import shown

    return await shown(session, params.chat)


async def delete(session: Session, params: ChatId) -> dict[str, Any]:
    """Forget a chat, here and in the history."""
    from server.chats import forget

    await forget(session, params.chat)
    return {"deleted": params.chat}
