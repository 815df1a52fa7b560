"""One streamed reply: what is asked, what comes, and how events become it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from assistant.conversation import Conversation
from assistant.endpoints import EndpointProfile
from assistant.errors import HostCrashed, HostError
from assistant.server_errors import from_wire
from assistant.sse import Comment, Event
from assistant.wire import COMMENT, Token, Urgency, Usage

SILENCE_SECONDS = 20.0
SILENCES = 3


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One reply that is wanted.

    max_tokens: None leaves it to the host.
    prediction: text that the reply is likely to repeat.
    alternatives: how many of the likeliest tokens are wanted at each place, with their log-probabilities.
    begun: the end of the conversation that is to count as the beginning of the reply.
    client: who asks, such as `lsp:4711`; requests of one client take turns with those of others.
    """

    conversation: Conversation
    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    prediction: str = ""
    urgency: Urgency = "chat"
    client: str = ""
    alternatives: int = 0
    begun: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing has come yet, and why.

    state: `starting` (the host's process), `loading` (the model; `progress` from 0 to 1), `queued` (`ahead` requests go
    first), `reading` (the prompt is being computed), `writing` (a token is being computed).
    note: something the user should be told besides.
    """

    state: Literal["starting", "loading", "queued", "reading", "writing"]
    progress: float | None = None
    ahead: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """The next part of the reply; the tokens behind it where their alternatives were asked for.

    The tokens of text that is still held back may come with text before it.
    """

    text: str
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """The reply is whole.  `loop`: it was stopped because its end kept repeating itself."""

    finish_reason: str
    usage: Usage
    loop: bool = False


class Reading:
    """What has been learnt from the events of one reply so far."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self._loop = False
        self._usage = Usage()

    def items(self, event: Event | Comment) -> list[Waiting | Delta]:
        """What an event tells the caller."""
        if isinstance(event, Comment):
            return _waiting(event.text)
        if event.data == "[DONE]":
            return []
        try:
            chunk = json.loads(event.data)
            if chunk.get("error"):
                raise from_wire(chunk["error"] if isinstance(chunk["error"], dict) else {"message": str(chunk["error"])})
            self._usage = _usage(chunk["usage"]) if chunk.get("usage") else self._usage
            parts = [Delta(self._text(choice), _tokens(choice)) for choice in chunk.get("choices", ())[:1]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HostError("The server sent an event that is no part of a reply.", "Check that the URL is right.") from error
        return [part for part in parts if part.text or part.tokens]

    def done(self, cut_off: HostError) -> Done:
        """The end of a stream that is over; raises `cut_off` where it gave no reason."""
        if self._reason is None:
            raise cut_off
        return Done(self._reason, self._usage, self._loop)

    def _text(self, choice: Mapping[str, Any]) -> str:
        self._reason = choice.get("finish_reason") or self._reason
        self._loop = self._loop or choice.get("stop_reason") == "loop"
        return str((choice.get("delta") or {}).get("content") or "")


def body_of(request: ChatRequest, conversation: Conversation, profile: EndpointProfile) -> dict[str, object]:
    """The JSON that asks for the reply."""
    body: dict[str, object] = {
        "model": profile.name,
        "messages": conversation.as_openai(),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    optional = {
        "max_tokens": request.max_tokens,
        "seed": request.seed,
        "stop": list(request.stop),
        "logprobs": True if request.alternatives else None,
        "top_logprobs": request.alternatives or None,
        "prediction": {"type": "content", "content": request.prediction} if request.prediction and profile.predicts else None,
    }
    return body | {name: value for name, value in optional.items() if value not in (None, [])}


async def attended(chunks: AsyncIterator[bytes], seconds: float = SILENCE_SECONDS) -> AsyncGenerator[bytes]:
    """The chunks of a host's reply, for as long as it shows signs of life; a host that is well shows one each second.

    Raises:
        HostError: nothing came for `seconds`, `SILENCES` times in a row.  One long wait may be this process having been
            suspended; several are not.
    """
    source = aiter(chunks)
    while True:
        following = asyncio.ensure_future(anext(source))
        try:
            for _ in range(SILENCES):
                if (await asyncio.wait({following}, timeout=seconds))[0]:
                    break
            else:
                raise silent()
            yield following.result()
        except StopAsyncIteration:
            return
        finally:
            if not following.done():
                following.cancel()
                await asyncio.wait({following})


def silent() -> HostError:
    """The error for a host that lives, but does not answer."""
    return HostError("The model host is running but does not answer.", "Run `assistant stop --all` and try again.")


def crashed() -> HostCrashed:
    """The error for a host that died while it was asked."""
    return HostCrashed(
        "The model host ended while it was answering.",
        "Send the request again: a new host starts by itself; `assistant doctor` shows where its log is.",
    )


def gone() -> HostError:
    """The error for a host that is no longer there when it is asked."""
    return HostError("The model host is no longer running.", "Send the request again: a new host starts by itself.")


def _waiting(comment: str) -> list[Waiting | Delta]:
    if not comment.startswith(COMMENT):
        return []
    try:
        told = json.loads(comment.removeprefix(COMMENT))
        return [Waiting(told["state"], told.get("progress"), told.get("ahead"))]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _tokens(choice: Mapping[str, Any]) -> tuple[Token, ...]:
    return tuple(
        Token(
            str(told["token"]),
            float(told["logprob"]),
            tuple((str(each["token"]), float(each["logprob"])) for each in told.get("top_logprobs") or ()),
        )
        for told in (choice.get("logprobs") or {}).get("content") or ()
        if told.get("logprob") is not None
    )


def _usage(raw: Mapping[str, Any]) -> Usage:
    prompt, completion = raw.get("prompt_tokens_details") or {}, raw.get("completion_tokens_details") or {}
    return Usage(
        prompt=raw.get("prompt_tokens") or 0,
        completion=raw.get("completion_tokens") or 0,
        cached=prompt.get("cached_tokens") or 0,
        accepted=completion.get("accepted_prediction_tokens") or 0,
        rejected=completion.get("rejected_prediction_tokens") or 0,
    )
