"""One request from its arrival to its last token: the model, the queue, the window, the engine."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from assistant.conversation import Conversation
from assistant.errors import AssistantError, ContextOverflow, HostError, UsageError
from assistant.hosting import stopping
from assistant.hosting.engine import EngineRequest, Finish, Piece
from assistant.hosting.model_host import Loaded, ModelHost, as_failure
from assistant.hosting.requests import Call, Fill, Source
from assistant.hosting.scheduler import BRIEF_TOKENS, Ticket
from assistant.template import Encoded, Tokenizer, encode, encode_fill
from assistant.wire import Token

log = logging.getLogger("assistant.hosting")

SIGN_OF_LIFE = 1.0
"""Seconds after which a waiting request is told again how things stand."""

REPLY_TOKENS = 4096
"""Tokens of a reply whose request names no limit, as far as the window holds them."""


_PLAUSIBLE = 8
"""Characters for each token of the window, beyond which a prompt is looked at in slices before it is encoded."""

_SLICE = 65_536


@dataclass(frozen=True, slots=True)
class Wait:
    """What a request waits for: the model (`progress` from 0 to 1), its turn (`ahead`), the prompt being read, or a token."""

    state: Literal["loading", "queued", "reading", "writing"]
    progress: float | None = None
    ahead: int | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """The next part of the reply, and the tokens behind it where the call asks for log-probabilities.

    Text that could begin a stop text is held back, its tokens are not.
    """

    text: str
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Work:
    """The engine's request, clamped to the window; the texts that end the reply; and what it begins with by form."""

    request: EngineRequest
    stops: tuple[str, ...]
    opening: str


Signal = Wait | Text | Finish


async def answer(host: ModelHost, call: Call) -> AsyncIterator[Signal]:
    """What the client is to hear, in order; the last is a `Finish`.  Closing the iterator stops the engine.

    Raises:
        HostBusy, ContextOverflow, OutOfMemory, UsageError, ModelError: as their names say.
    """
    begun, finish, end = time.monotonic(), None, "left"
    brief = call.max_tokens is not None and call.max_tokens <= BRIEF_TOKENS
    with host.scheduler.admit(call.client, call.urgency, brief=brief, outside=bool(call.owner)) as ticket:
        try:
            async for signal in _steps(host, call, ticket):
                if isinstance(signal, Finish):
                    finish, end = signal, signal.reason
                yield signal
        except AssistantError as error:  # raised from itself it would never be freed, and with it the request's text
            end = error.code
            raise
        except Exception as error:
            end = HostError.code
            raise as_failure(error, "The engine failed") from error
        finally:
            host.last_work = time.monotonic()
            _note(call, end, finish, host.last_work - begun)


async def count(host: ModelHost, source: Source) -> tuple[int, int]:
    """Tokens of the prompt, and those of the window; waits until the model is loaded.

    Raises:
        UsageError, ModelError: the source cannot be encoded, or loading failed.
    """
    loaded = None
    while loaded is None:
        loaded = await host.loaded(SIGN_OF_LIFE)
    host.last_work = time.monotonic()
    encoded = await asyncio.get_running_loop().run_in_executor(host.encoder, _encode, loaded, source)
    return len(encoded.ids), loaded.engine.info.context_length


async def _steps(host: ModelHost, call: Call, ticket: Ticket) -> AsyncIterator[Signal]:
    loaded = await host.loaded(0)
    while loaded is None:
        yield Wait("loading", progress=host.progress)
        loaded = await host.loaded(SIGN_OF_LIFE / 4)
    work = await prepared(host, loaded, call)
    async for ahead in host.scheduler.turn(ticket, SIGN_OF_LIFE):
        yield Wait("queued", ahead=ahead)
    yield Wait("reading")
    steps = partial(stopping.stream, loaded.engine, work.request, work.stops)
    state: Literal["reading", "writing"] = "reading"
    async for item in host.scheduler.run(ticket, steps, SIGN_OF_LIFE):
        if item is None:
            yield Wait(state)
        elif isinstance(item, Finish):
            yield item
        elif item.text or item.scores:
            text = item.text.removeprefix(work.opening) if state == "reading" else item.text
            state = "writing"
            if text or item.scores:
                yield Text(text, tuple(_tokens(loaded.engine.tokenizer, item)))


async def prepared(host: ModelHost, loaded: Loaded, call: Call) -> Work:
    """What the engine is to do for a call.

    Raises:
        ContextOverflow: the prompt leaves no room in the window.
        UsageError: it cannot be encoded.
    """
    return await asyncio.get_running_loop().run_in_executor(host.encoder, _prepare, loaded, call)


def _prepare(loaded: Loaded, call: Call) -> Work:
    encoded = _encode(loaded, call.source)
    info = loaded.engine.info
    room = info.context_length - len(encoded.ids)
    if room < 1:
        raise ContextOverflow(
            f"The prompt has {len(encoded.ids):,} tokens, and the model's window holds {info.context_length:,}.",
            "Send less text, or choose a model with a longer window.",
        )
    prediction = tuple(loaded.engine.tokenizer.encode(call.prediction)) if call.prediction else ()
    request = EngineRequest(
        prompt=encoded.ids,
        max_tokens=min(room, call.max_tokens or REPLY_TOKENS),
        stop_ids=encoded.stop_ids | info.end_ids,
        sampling=call.sampling,
        prediction=prediction[: info.context_length],
        owner=call.owner,
        keep=isinstance(call.source, Conversation) and not call.private,
        alternatives=0 if call.alternatives is None else max(1, call.alternatives),
    )
    return Work(request, encoded.stop_texts + call.stops, encoded.opening)


def _tokens(tokenizer: Tokenizer, piece: Piece) -> Iterator[Token]:
    for token, score in zip(piece.ids, piece.scores, strict=False):
        if score is not None:
            top = tuple((tokenizer.decode((one,)), logprob) for one, logprob in score.top)
            yield Token(tokenizer.decode((token,)), score.logprob, top)


def _encode(loaded: Loaded, source: Source) -> Encoded:
    _refuse_the_absurd(loaded, source)
    tokenizer = loaded.engine.tokenizer
    if isinstance(source, Conversation):
        return encode(loaded.template, source, tokenizer)
    if isinstance(source, Fill):
        return encode_fill(source.prefix, source.suffix, tokenizer)
    ids = tuple(tokenizer.encode(source)) if isinstance(source, str) else source
    vocabulary = loaded.engine.info.vocabulary
    if not ids or (vocabulary is not None and max(ids) >= vocabulary):
        raise UsageError("`prompt` is empty, or holds ids that the model does not know.", "Send some text.")
    return Encoded(ids, (False,) * len(ids))


def _note(call: Call, end: str, finish: Finish | None, seconds: float) -> None:
    """One line in the log: kinds, counts and durations, never text."""
    kind, usage = type(call.source).__name__, finish.usage if finish else None
    log.info(
        "request kind=%s urgency=%s end=%s prompt=%s completion=%s cached=%s seconds=%.3f",
        kind,
        call.urgency,
        end,
        usage and usage.prompt,
        usage and usage.completion,
        usage and usage.cached,
        seconds,
    )


def _refuse_the_absurd(loaded: Loaded, source: Source) -> None:
    """Megabytes are refused by their first slices: encoding all of them would hold up everybody, and take their memory."""
    window = loaded.engine.info.context_length
    texts = _texts(source)
    if sum(map(len, texts)) <= _PLAUSIBLE * window:
        return
    tokens = 0
    for text in texts:
        for start in range(0, len(text), _SLICE):
            tokens += len(loaded.engine.tokenizer.encode(text[start : start + _SLICE]))
            if tokens > 2 * window:  # a cut makes a few tokens more, and never twice as many
                raise ContextOverflow(
                    f"The prompt has more than {tokens:,} tokens, and the model's window holds {window:,}.",
                    "Send less text, or choose a model with a longer window.",
                )


def _texts(source: Source) -> tuple[str, ...]:
    if isinstance(source, Conversation):
        return tuple(message.content for message in source.messages)
    if isinstance(source, Fill):
        return source.prefix, source.suffix
    return (source,) if isinstance(source, str) else ()
