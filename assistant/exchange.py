"""One question to the model and its reply, taken apart while it streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from assistant.client import ChatRequest, Delta, Done, ModelClient, Waiting
from assistant.conversation import Conversation, start
from assistant.reply import Reply, ReplyEvent, ReplyParser
from assistant.wire import FinishReason, Token, Usage


@dataclass(frozen=True, slots=True)
class Exchange:
    """A reply that is whole, why it ended, and what it cost; its tokens, where their alternatives were asked for."""

    reply: Reply
    finish_reason: FinishReason
    usage: Usage
    tokens: tuple[Token, ...] = ()


async def exchange(
    client: ModelClient, request: ChatRequest, enough: Callable[[str], bool] = lambda code: False
) -> AsyncGenerator[Waiting | Delta | Exchange]:
    """Stream one reply; the last item is the `Exchange`.

    `enough` is asked of the code of each fenced block as it closes; where it answers True the model is stopped there, which
    saves the explanation that would follow, and the reply counts as ended by itself.

    Raises:
        AssistantError: as `ModelClient.stream`.
    """
    parser = ReplyParser(_prefill(request.conversation).removesuffix(request.begun))
    block, tokens, begun = _Block(), list[Token](), _Begun(request.begun)
    async with aclosing(client.stream(request)) as items:  # type: ignore[type-var]  # it is an async generator
        async for item in items:
            if isinstance(item, Waiting):
                yield item
                continue
            text = begun.joined(item)
            if text:
                yield Delta(text)
            whole = block.closed(parser.feed(text))
            if isinstance(item, Done):
                reason: FinishReason = "loop" if item.loop else cast(FinishReason, item.finish_reason)
                yield Exchange(parser.finish(), reason, item.usage, tuple(tokens))
                return
            tokens += item.tokens
            if any(map(enough, whole)):
                break
    reply = parser.finish()
    yield Exchange(reply, "stop", await _usage(client, request.conversation, reply.text), tuple(tokens))


_FENCE = "```"


class _Begun:
    """What the prompt wrote of a reply, in front of the rest; a model that starts over says it itself."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._held = ""

    def joined(self, item: Delta | Done) -> str:
        """The next part of the whole."""
        self._held += item.text if isinstance(item, Delta) else ""
        wanted, said = self._text.lstrip(), self._held.lstrip()
        over = bool(wanted) and said.startswith((wanted, _FENCE))
        if wanted and not over and (wanted.startswith(said) or _FENCE.startswith(said)) and isinstance(item, Delta):
            return ""
        text, self._text, self._held = self._held if over else self._text + self._held, "", ""
        return text


class _Block:
    """The code of the fenced block that is open."""

    def __init__(self) -> None:
        self._code = ""

    def closed(self, events: list[ReplyEvent]) -> list[str]:
        """The code of every block that these events close."""
        whole = []
        for event in events:
            if event.kind == "open":
                self._code = ""
            elif event.kind == "code":
                self._code += event.text
            elif event.kind == "close":
                whole.append(self._code)
        return whole


def _prefill(conversation: Conversation) -> str:
    return conversation.messages[-1].content if conversation.continues_assistant else ""


async def _usage(client: ModelClient, conversation: Conversation, text: str) -> Usage:
    """What a reply that was cut short cost; only the host knows exactly, so this counts again."""
    prompt = await client.count(conversation)
    completion = await client.count(start(text or " "))
    return Usage(prompt=prompt.count, completion=completion.count)
