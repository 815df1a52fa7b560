"""The OpenAI API's answers for chats and completions, streamed and whole."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Literal

from assistant.errors import HostError
from assistant.hosting.answering import Text, Wait, answer
from assistant.hosting.engine import Finish
from assistant.hosting.events import comment, data
from assistant.hosting.model_host import ModelHost
from assistant.hosting.requests import Call
from assistant.wire import Token, Usage

Kind = Literal["chat", "text"]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is the same in all chunks of a reply."""

    kind: Kind
    id: str
    created: int
    model: str

    def chunk(self, choices: list[dict[str, object]], usage: Usage | None = None) -> dict[str, object]:
        """One event of a streamed reply."""
        name = "chat.completion.chunk" if self.kind == "chat" else "text_completion"
        body: dict[str, object] = {
            "id": self.id,
            "object": name,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }
        return body | ({"usage": usage.as_openai()} if usage else {})

    def part(self, signal: Text, *, first: bool) -> dict[str, object]:
        """The event that carries the next text."""
        if self.kind == "text":
            return self.chunk([{"index": 0, "text": signal.text, "finish_reason": None}])
        role = {"role": "assistant"} if first else {}
        told = {"logprobs": _logprobs(signal.tokens)} if signal.tokens else {}
        return self.chunk([{"index": 0, "delta": {**role, "content": signal.text}, **told, "finish_reason": None}])

    def last(self, finish: Finish) -> dict[str, object]:
        """The event that says why the reply ended."""
        content: dict[str, object] = {"delta": {}} if self.kind == "chat" else {"text": ""}
        return self.chunk([{"index": 0, **content, **ending(finish)}])

    def whole(self, text: str, finish: Finish, tokens: Sequence[Token] | None = None) -> dict[str, object]:
        """The reply of a request that is not streamed."""
        chat: dict[str, object] = {"message": {"role": "assistant", "content": text}}
        chat |= {"logprobs": _logprobs(tokens)} if tokens is not None else {}
        choice = {"index": 0, **(chat if self.kind == "chat" else {"text": text}), **ending(finish)}
        name = "chat.completion" if self.kind == "chat" else "text_completion"
        return self.chunk([choice], finish.usage) | {"object": name}


async def events(host: ModelHost, call: Call, kind: Kind) -> AsyncIterator[str]:
    """The reply as server-sent events.

    Raises:
        AssistantError: as `answer` does.
    """
    cover, first = envelope(host, kind), True
    async with aclosing(answer(host, call)) as signals:  # type: ignore[type-var]  # an async generator
        async for signal in signals:
            if isinstance(signal, Wait):
                yield comment(asdict(signal))
            elif isinstance(signal, Text):
                yield data(cover.part(signal, first=first))
                first = False
            else:
                yield data(cover.last(_completed(signal)))
                if call.include_usage:
                    yield data(cover.chunk([], signal.usage))
    yield "data: [DONE]\n\n"


async def reply(host: ModelHost, call: Call, kind: Kind) -> dict[str, object]:
    """The whole reply at once.

    Raises:
        AssistantError: as `answer` does.
    """
    parts, tokens, finish = [], list[Token](), None
    async with aclosing(answer(host, call)) as signals:  # type: ignore[type-var]  # an async generator
        async for signal in signals:
            if isinstance(signal, Text):
                parts.append(signal.text)
                tokens += signal.tokens
            elif isinstance(signal, Finish):
                finish = _completed(signal)
    if finish is None:
        raise HostError("The engine ended without saying why.", "Send the request again.")
    return envelope(host, kind).whole("".join(parts), finish, None if call.alternatives is None else tokens)


def _logprobs(tokens: Sequence[Token]) -> dict[str, object]:
    return {"content": [token.as_openai() for token in tokens]}


def ending(finish: Finish) -> dict[str, object]:
    """Why it ended; a loop is told as the API's `stop`, with a reason beside it."""
    if finish.reason == "loop":
        return {"finish_reason": "stop", "stop_reason": "loop"}
    return {"finish_reason": finish.reason}


def _completed(finish: Finish) -> Finish:
    """`finish`, unless the host itself stopped the request: a client that left hears nothing any more."""
    if finish.reason == "cancelled":
        raise HostError("The model host was stopped.", "Send the request again.")
    return finish


def envelope(host: ModelHost, kind: Kind) -> Envelope:
    """A new one, with an id of its own."""
    prefix = "chatcmpl" if kind == "chat" else "cmpl"
    return Envelope(kind, f"{prefix}-{uuid.uuid4().hex}", int(time.time()), host.spec.name)
