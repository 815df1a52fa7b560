"""Speaking to a model over the OpenAI API: the model host on this machine, or any server at a URL."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

import httpx2

from assistant.address import HostRecord
from assistant.conversation import Conversation
from assistant.endpoints import EndpointProfile, defused, estimate, extras, probe, unreachable
from assistant.errors import HostError, UsageError
from assistant.server_errors import from_answer
from assistant.settings import Settings
from assistant.sse import Comment, Event, EventDecoder
from assistant.streaming import ChatRequest, Delta, Done, Reading, Waiting, attended, body_of, crashed, gone
from assistant.wire import CLIENT_HEADER, PRIVATE_HEADER, URGENCY_HEADER

__all__ = ["ChatRequest", "Delta", "Done", "ModelClient", "TokenCount", "Waiting", "local", "remote"]

CONNECT_SECONDS = 10.0
"""For reaching a server.  There is no limit on the work itself: a slow model is slow, and the user can stop it."""


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of a conversation and of the window (None: unknown).  Without `exact` it is an estimate with a margin."""

    count: int
    limit: int | None
    exact: bool = True


class ModelClient:
    """A model that can be asked.  Close it when done; one client may stream several replies at once.

    caller: for whom it asks; at a local host, requests of one caller take turns with those of others.
    """

    def __init__(self, http: httpx2.AsyncClient, profile: EndpointProfile) -> None:
        self._http = http
        self.profile = profile
        self.caller = f"process {os.getpid()}"

    async def stream(self, request: ChatRequest) -> AsyncIterator[Waiting | Delta | Done]:
        """The reply as it comes; the last item is a `Done`.  Closing the iterator stops the model at once.

        Raises:
            HostCrashed: the host died during the request.
            HostError: it cannot be reached.
            AssistantError: whatever the host refused with, such as ContextOverflow, HostBusy or OutOfMemory.
        """
        conversation = request.conversation
        if self.profile.host:
            conversation, broken = defused(conversation)
            if broken:
                yield Waiting("reading", note=f"{broken} control words in the text were broken up before sending.")
        if conversation.continues_assistant and not self.profile.continues_assistant:
            raise UsageError(f"{self.profile.host} does not continue a begun reply.", "Send the conversation without it.")
        reading = Reading()
        async with aclosing(self._events(request, conversation)) as events:  # type: ignore[type-var]  # an async generator
            async for event in events:
                for item in reading.items(event):
                    yield item
        yield reading.done(self._cut_off())

    async def complete(self, prefix: str, suffix: str, max_tokens: int, stop: tuple[str, ...] = ()) -> str:
        """The text between `prefix` and `suffix`, as a whole; cancelling the call stops the model.

        Raises:
            UsageError: the model, or its server, cannot fill in the middle.
            HostError: it cannot be reached.
            AssistantError: whatever it refused with.
        """
        if not self.profile.fills:
            raise UsageError(f"{self._name} does not complete code in the middle of a text.", "Choose a local code model.")
        body = {"model": self.profile.name, "prompt": prefix, "suffix": suffix, "max_tokens": max_tokens, "temperature": 0}
        answer = await self._json("POST", "/v1/completions", {**body, "stop": list(stop)} if stop else body)
        try:
            return str(answer["choices"][0]["text"])
        except (KeyError, IndexError, TypeError) as error:
            raise HostError(f"{self._name} answered with something that is no completion.", "Check the URL.") from error

    async def count(self, conversation: Conversation) -> TokenCount:
        """Tokens of the conversation and of the window; waits while the model loads.

        Raises:
            HostError: the host cannot be reached.
            AssistantError: whatever it refused with.
        """
        if not self.profile.counts:
            return TokenCount(estimate(conversation), self.profile.context_length, exact=False)
        body = {"model": self.profile.name, "messages": conversation.as_openai(), **extras(self.profile, conversation)}
        answer = await self._json("POST", "/tokenize", body)
        return TokenCount(int(answer["count"]), int(answer["max_model_len"]))

    async def health(self, *, hold: bool = False) -> Mapping[str, Any]:
        """The host's `/health`, whatever its status; `hold` says that a request will follow, so that it does not end as idle.

        Raises:
            HostError: it cannot be reached, or has none.
        """
        return await self._json("GET", "/health?hold" if hold else "/health", None, refuse=False)

    async def serve(self, host: str, port: int, digests: Sequence[str]) -> AsyncIterator[Mapping[str, Any]]:
        """Have the host serve other programs at a TCP address for as long as this iterator is open; see `assistant.wire`.

        Raises:
            UsageError: the address is taken, or not to be had.
            HostError: the host cannot be reached.
            HostCrashed: it died.
        """
        body = {"host": host, "port": port, "tokens_sha256": list(digests)}
        decoder = EventDecoder()
        try:
            async with self._http.stream("POST", "/starchat/serve", json=body) as response:
                if not response.is_success:
                    raise from_answer(response.status_code, response.headers, await response.aread(), self._name)
                async for chunk in response.aiter_raw():
                    for event in decoder.decode(chunk):
                        if isinstance(event, Event):
                            yield json.loads(event.data)
        except httpx2.TransportError as error:
            raise self._broken(error) from error

    async def stop_host(self) -> None:
        """Ask the host to finish its work and end.

        Raises:
            HostError: it cannot be reached.
        """
        await self._json("POST", "/starchat/stop", {})

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    @property
    def _name(self) -> str:
        return self.profile.host or "The model host"

    async def _json(self, method: str, path: str, body: object, *, refuse: bool = True) -> Mapping[str, Any]:
        try:
            response = await self._http.request(method, path, json=body, headers=self._introduced())
            if refuse and not response.is_success:
                raise from_answer(response.status_code, response.headers, response.content, self._name)
            return cast(Mapping[str, Any], response.json())
        except httpx2.TransportError as error:
            raise self._broken(error) from error
        except ValueError as error:
            raise HostError(f"{self._name} answered {path} with something that is not JSON.", "Check the URL.") from error

    async def _events(self, request: ChatRequest, conversation: Conversation) -> AsyncIterator[Event | Comment]:
        decoder = EventDecoder()
        body = {**body_of(request, conversation, self.profile), **extras(self.profile, conversation)}
        headers = self._introduced(request.client) | {URGENCY_HEADER: request.urgency} if not self.profile.host else {}
        try:
            async with self._http.stream("POST", "/v1/chat/completions", json=body, headers=headers) as response:
                if not response.is_success:
                    raise from_answer(response.status_code, response.headers, await response.aread(), self._name)
                async for chunk in response.aiter_bytes() if self.profile.host else attended(response.aiter_raw()):
                    for event in decoder.decode(chunk):
                        yield event
        except httpx2.TransportError as error:
            raise self._broken(error) from error

    def _introduced(self, caller: str = "") -> dict[str, str]:
        """Who asks, which is nobody's business but a host's of our own."""
        return {} if self.profile.host else {CLIENT_HEADER: caller or self.caller}

    def _cut_off(self) -> HostError:
        return HostError(f"{self._name} broke off its reply.", "Send the request again.") if self.profile.host else crashed()

    def _broken(self, error: httpx2.TransportError) -> HostError:
        if isinstance(error, (httpx2.ConnectError, httpx2.TimeoutException)):
            return unreachable(error, self.profile.host) if self.profile.host else gone()
        return self._cut_off()


def local(record: HostRecord, *, private: bool = False) -> ModelClient:
    """A client of the model host at `record`; `private`: the host is to keep nothing of its requests on disk."""
    # There is no TLS on this machine, and reading the certificates of the world costs 0.15 s.
    transport = httpx2.AsyncHTTPTransport(verify=False, uds=record.socket)
    headers = {"authorization": f"Bearer {record.token}"} if record.token else {}
    headers |= {PRIVATE_HEADER: "1"} if private else {}
    http = httpx2.AsyncClient(
        base_url=record.url, transport=transport, headers=headers, timeout=_timeout(), trust_env=False, verify=False
    )
    return ModelClient(http, EndpointProfile(record.model))


async def remote(settings: Settings) -> ModelClient:
    """A client of the server at `settings.endpoint`, which is asked once what it can do.

    Raises:
        HostError: it cannot be reached, or refuses the key.
        UsageError: the endpoint is no URL.
    """
    url = (settings.endpoint or "").rstrip("/").removesuffix("/v1")
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"The endpoint {settings.endpoint!r} is no URL.", "It must begin with http:// or https://.")
    headers = {"authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
    http = httpx2.AsyncClient(base_url=url, headers=headers, timeout=_timeout())
    try:
        model = settings.model if settings.model != settings.endpoint else None
        return ModelClient(http, await probe(http, model))
    except BaseException:
        await http.aclose()
        raise


def _timeout() -> httpx2.Timeout:
    return httpx2.Timeout(None, connect=CONNECT_SECONDS)
