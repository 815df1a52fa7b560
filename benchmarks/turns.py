"""Turns taken through the client and the host, and the same straight at an engine."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

from assistant.client import ChatRequest, Delta, Done, ModelClient
from assistant.conversation import Conversation, start
from assistant.host import connect
from assistant.hosting.engine import Engine, EngineRequest, Piece
from assistant.hosting.opening import open_engine, template_of
from assistant.models.spec import ModelSpec
from assistant.settings import Settings
from assistant.template import Template, encode

TOPICS = (
    "lists",
    "sockets",
    "regexes",
    "closures",
    "graphs",
    "matrices",
    "queues",
    "dates",
    "heaps",
    "tries",
    "locks",
    "enums",
)


def added_to_first_token(spec: ModelSpec, rounds: int) -> list[float]:
    """Milliseconds that client and host add to the first token: engine and host take turns, with prompts new to both."""
    engine = open_engine(spec, lambda _: None)
    try:
        template = template_of(spec, engine.tokenizer)
        _race(spec, engine, template, -1)
        return [_race(spec, engine, template, number) for number in range(rounds)]
    finally:
        engine.close()


def _race(spec: ModelSpec, engine: Engine, template: Template, number: int) -> float:
    """One pair; who goes first changes, since the second may find the processor warm or somebody else at work."""
    conversation = start(f"{number} {TOPICS[number % len(TOPICS)]}: what are they good for, in one sentence?")
    runs = {
        "direct": lambda: _first_of_engine(engine, template, conversation),
        "through": lambda: asyncio.run(_first_of_host(spec, conversation)),
    }
    seconds = {name: runs[name]() for name in sorted(runs, reverse=number % 2 == 0)}
    return (seconds["through"] - seconds["direct"]) * 1000


def _first_of_engine(engine: Engine, template: Template, conversation: Conversation) -> float:
    began = time.perf_counter()
    encoded = encode(template, conversation, engine.tokenizer)
    stream = engine.stream(EngineRequest(encoded.ids, 2, encoded.stop_ids), lambda: False)
    next(item for item in stream if isinstance(item, Piece) and item.text)
    seconds = time.perf_counter() - began
    list(stream)
    return seconds


async def _first_of_host(spec: ModelSpec, conversation: Conversation) -> float:
    began = time.perf_counter()
    client = await connect(spec, Settings(), lambda _: None)
    seconds = 0.0
    try:
        async with aclosing(client.stream(ChatRequest(conversation, max_tokens=2))) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Delta) and not seconds:
                    seconds = time.perf_counter() - began
    finally:
        await client.close()
    return seconds


def computed_again(spec: ModelSpec) -> int:
    """Prompt tokens of a second turn that were computed although they were not new."""
    return asyncio.run(_second_turn(spec))


async def _second_turn(spec: ModelSpec) -> int:
    client = await connect(spec, Settings(), lambda _: None)
    try:
        first = start("My name is Ada, and I like short answers. What is a linked list?")
        reply, one = await _reply(client, first, 24)
        second = first.then("assistant", reply).then("user", "Which name did I tell you?")
        _, two = await _reply(client, second, 4)
    finally:
        await client.close()
    new = two.usage.prompt - one.usage.prompt - one.usage.completion
    return two.usage.prompt - two.usage.cached - new


async def _reply(client: ModelClient, conversation: Conversation, max_tokens: int) -> tuple[str, Done]:
    text, done = "", None
    async with aclosing(client.stream(ChatRequest(conversation, max_tokens=max_tokens))) as events:  # type: ignore[type-var]
        async for event in events:
            text += event.text if isinstance(event, Delta) else ""
            done = event if isinstance(event, Done) else done
    assert done is not None
    return text, done
