"""The host's routes: the OpenAI API, `/tokenize`, `/health`, and for our own programs `/starchat/…` (see `assistant.wire`)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from assistant.conversation import from_openai
from assistant.errors import AssistantError, UsageError
from assistant.hosting import chat, doors
from assistant.hosting import completions as complete
from assistant.hosting.answering import count
from assistant.hosting.doors import parse_door
from assistant.hosting.events import EventStream, body_of, refusal, unless_disconnected
from assistant.hosting.gate import Gate
from assistant.hosting.model_host import ModelHost
from assistant.hosting.public_gate import OWNER, PublicGate
from assistant.hosting.requests import Call, parse_chat, parse_completion, parse_json, parse_prompt

BODY_LIMIT = 8 * 2**20
"""Bytes of a request's body; the longest window of any model that we know is told in far fewer."""

BODY_SECONDS = 30.0

Handler = Callable[[ModelHost, Request], Awaitable[Response]]


def make_app(host: ModelHost) -> ASGIApp:
    """The application, behind the gate that lets only the user's own programs in."""
    own = [
        Route("/starchat/stop", _bound(host, stop), methods=["POST"]),
        Route("/starchat/serve", _bound(host, serve), methods=["POST"]),
    ]
    return Gate(Starlette(routes=[*_api(host), *own]), host.record)


def _api(host: ModelHost) -> list[Route]:
    """What other programs may ask as well."""
    return [
        Route("/v1/chat/completions", _bound(host, chats), methods=["POST"]),
        Route("/v1/completions", _bound(host, completions), methods=["POST"]),
        Route("/v1/models", _bound(host, models), methods=["GET"]),
        Route("/tokenize", _bound(host, tokenize), methods=["POST"]),
        Route("/health", _bound(host, health), methods=["GET"]),
    ]


async def chats(host: ModelHost, request: Request) -> Response:
    """`POST /v1/chat/completions`."""
    call = _owned(parse_chat(await _json(request), request.headers), request)
    return _answered(host, call, "chat")


async def completions(host: ModelHost, request: Request) -> Response:
    """`POST /v1/completions`; with `suffix`, fill in the middle; with `echo` or `logprobs`, for evaluation harnesses."""
    raw = await _json(request)
    special = complete.parse(raw, request.headers)
    if special is None:
        return _answered(host, _owned(parse_completion(raw, request.headers), request), "text")
    calls, wish = special
    return Whole(partial(complete.reply, host, [_owned(call, request) for call in calls], wish))


async def models(host: ModelHost, _request: Request) -> Response:
    """`GET /v1/models`: the one model that this host serves."""
    length = host.health()["context_length"]
    entry = {"id": host.spec.name, "object": "model", "created": int(host.record.started), "owned_by": "starchat-assistant"}
    return JSONResponse({"object": "list", "data": [entry | ({"max_model_len": length} if length else {})]})


async def tokenize(host: ModelHost, request: Request) -> Response:
    """`POST /tokenize`: how many tokens a conversation or a text has, and how many the window holds."""
    raw = await _json(request)
    source = from_openai(raw["messages"]) if "messages" in raw else parse_prompt(raw)

    async def counted() -> dict[str, object]:
        tokens, limit = await count(host, source)
        return {"count": tokens, "max_model_len": limit}

    return Whole(counted)


async def health(host: ModelHost, request: Request) -> Response:
    """`GET /health`: 200 when the model is ready, else 503; the body is the same.  With `?hold` a request is announced."""
    if "hold" in request.query_params and OWNER not in request.scope:
        host.last_work = time.monotonic()
    return JSONResponse(host.health(), 200 if host.status == "ok" else 503)


async def stop(host: ModelHost, _request: Request) -> Response:
    """`POST /starchat/stop`: finish what is under way, take nothing new, then end."""
    host.drain()
    return JSONResponse(host.health())


async def serve(host: ModelHost, request: Request) -> Response:
    """`POST /starchat/serve`: serve other programs at a TCP address for as long as the answer's stream is open."""
    door = parse_door(await _json(request))
    return EventStream(doors.events(host, door, partial(PublicGate, Starlette(routes=_api(host)))))


def _owned(call: Call, request: Request) -> Call:
    """The call with its owner, where it came through a door: one client whatever it says, and the user's own work first."""
    owner = request.scope.get(OWNER)
    if owner is None:
        return call
    return replace(call, owner=owner, client=f"door:{owner}", urgency="chat" if call.urgency == "chat" else "edit")


class Whole(Response):
    """A JSON answer whose making is given up when the client goes away."""

    def __init__(self, make: Callable[[], Awaitable[dict[str, object]]]) -> None:
        super().__init__()
        self._make = make

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - as Starlette declares them
        await unless_disconnected(receive, self._deliver(scope, receive, send))

    async def _deliver(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - as Starlette declares them
        try:
            response = JSONResponse(await self._make())
        except AssistantError as error:
            response = refusal(error)
        await response(scope, receive, send)


def _answered(host: ModelHost, call: Call, kind: chat.Kind) -> Response:
    if call.stream:
        return EventStream(chat.events(host, call, kind))
    return Whole(partial(chat.reply, host, call, kind))


def _bound(host: ModelHost, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await handler(host, request)
        except AssistantError as error:
            return refusal(error)
        except ClientDisconnect:
            return Response(status_code=499)

    return endpoint


async def _json(request: Request) -> Mapping[str, Any]:
    body = await body_of(request, BODY_LIMIT, BODY_SECONDS)
    if body is None:
        raise UsageError(f"The body is longer than {BODY_LIMIT // 2**20} MiB, or did not arrive.", "Send less text.")
    return parse_json(body)
