"""Answers on the wire: server-sent events, whole JSON replies and errors, all ended at once when the client goes away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import aclosing, suppress

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from assistant.errors import AssistantError, HostBusy
from assistant.hosting.model_host import error_body
from assistant.wire import COMMENT

GRACE = 0.1
"""Seconds in which a request may still fail with a status of its own, before the stream's 200 is sent."""


class EventStream(Response):
    """Sends the strings of `events` as they come; a client that leaves ends the iterator at once.

    An error becomes a JSON answer with its status where nothing has been sent, and the last event otherwise.
    """

    def __init__(self, events: AsyncIterator[str]) -> None:
        super().__init__()
        self.raw_headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await unless_disconnected(receive, self._deliver(scope, receive, send))

    async def _deliver(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        try:
            async with aclosing(_held(self._events)) as events:  # type: ignore[type-var]  # an async generator
                async for event in events:
                    if not started:
                        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                    started = True
                    await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
        except AssistantError as error:
            if not started:
                await refusal(error)(scope, receive, send)
                return
            body = data({"error": error_body(error)}).encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def unless_disconnected(receive: Receive, work: Awaitable[None]) -> None:
    """Do `work`, but cancel it when the client goes away."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        for one in (task, gone):
            one.cancel()
        with suppress(asyncio.CancelledError, AssistantError, OSError):
            await task


def refusal(error: AssistantError) -> JSONResponse:
    """The error as an answer, with its status."""
    headers = {"retry-after": f"{error.retry_after:.0f}"} if isinstance(error, HostBusy) else {}
    return JSONResponse({"error": error_body(error)}, error.status, headers)


def data(value: Mapping[str, object]) -> str:
    """One event."""
    return f"data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n"


def comment(value: Mapping[str, object]) -> str:
    """One of our comments, which clients of the OpenAI API pass over."""
    return f": {COMMENT}{json.dumps({key: item for key, item in value.items() if item is not None})}\n\n"


async def body_of(request: Request, limit: int, seconds: float) -> bytearray | None:
    """The body, or None where it is longer than `limit` bytes or takes longer than `seconds` to arrive."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > limit:
        return None
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    return None
    except TimeoutError:
        return None
    return body


async def _held(events: AsyncIterator[str]) -> AsyncIterator[str]:
    """The same events, but comments wait for `GRACE` seconds, in which a refusal may still come."""
    loop = asyncio.get_running_loop()
    until, held, following = loop.time() + GRACE, "", None
    try:
        while True:
            following = following or asyncio.ensure_future(anext(events, None))
            done, _ = await asyncio.wait((following,), timeout=max(0.0, until - loop.time()) if held else None)
            if not done:
                yield held
                held, until = "", 0.0
                continue
            event, following = following.result(), None
            if event is None:
                break
            held += event
            if not event.startswith(":") or loop.time() >= until:
                yield held
                held, until = "", 0.0
        if held:
            yield held
    finally:
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError, AssistantError):
                await following
        await events.aclose()  # type: ignore[attr-defined]  # an async generator


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
