"""The client's reading of event streams, and of servers that are not ours."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.client import ChatRequest, Waiting, remote
from assistant.conversation import Conversation, Message, start
from assistant.endpoints import defused
from assistant.errors import AssistantError, ContextOverflow, HostBusy, HostError, ModelError, UsageError
from assistant.settings import Settings
from assistant.sse import Comment, Event, EventDecoder
from assistant.streaming import attended
from tests.hosting.scripted_host import answer

STREAM = (
    '\ufeff: starchat {"state": "reading"}\r\n\r\n'
    'data: {"a": "é"}\n\n'
    "data:x\rdata: y\r\revent: z\nid: 3\ndata\n\ndata: [DONE]\n\n"
)
ITEMS = [Comment('starchat {"state": "reading"}'), Event('{"a": "é"}'), Event("x\ny"), Event(""), Event("[DONE]")]


def decoded(*chunks: bytes) -> list[Event | Comment]:
    decoder = EventDecoder()
    return [item for chunk in chunks for item in decoder.decode(chunk)]


def test_events_are_read_however_they_are_cut() -> None:
    raw = STREAM.encode()
    for one in range(len(raw) + 1):
        assert decoded(raw[:one], raw[one:]) == ITEMS, one
    assert decoded(*(bytes((byte,)) for byte in raw)) == ITEMS


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_no_bytes_break_the_reader_and_cuts_change_nothing(raw: bytes, places: list[int]) -> None:
    cuts = sorted({0, len(raw), *(place for place in places if place < len(raw))})
    assert decoded(*(raw[a:b] for a, b in pairwise(cuts))) == decoded(raw)


def test_an_event_that_the_end_cut_off_is_none() -> None:
    assert decoded(b"data: half\n") == []


Answer = tuple[int, dict[str, str], bytes]
SSE = {"content-type": "text/event-stream"}


def events(*values: Any) -> bytes:
    return b"".join(f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode() for value in values)


def part(text: str, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, "finish_reason": reason}]}


def models(owner: str, **extra: Any) -> Answer:
    return 200, {}, json.dumps({"data": [{"id": "theirs", "owned_by": owner, **extra}]}).encode()


def test_a_host_that_falls_silent_is_left() -> None:
    async def talks(times: int) -> AsyncIterator[bytes]:
        for _ in range(times):
            await asyncio.sleep(0.03)
            yield b"x"
        await asyncio.sleep(30)

    async def heard(times: int, seconds: float) -> int:
        count = 0
        with pytest.raises(HostError, match="does not answer"):
            async for _ in attended(talks(times), seconds):
                count += 1
        assert len(asyncio.all_tasks()) == 1
        return count

    begun = time.monotonic()
    assert asyncio.run(heard(10, 0.1)) == 10
    assert time.monotonic() - begun < 5


@contextmanager
def server(answers: dict[str, Answer | Callable[[Any], Answer]]) -> Iterator[tuple[Settings, list[Any]]]:
    """A server on this machine with fixed answers by path, and the bodies that it was sent."""
    bodies: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answers.get(self.path, (404, {}, b"<html>not here</html>"))
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            bodies.append({"path": self.path, "key": self.headers.get("authorization"), **json.loads(raw)})
            self.do_GET()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield Settings(endpoint=f"http://127.0.0.1:{http.server_port}/v1", api_key="k3y"), bodies
        http.shutdown()


def asked(settings: Settings, request: ChatRequest) -> tuple[str, Any]:
    async def main() -> tuple[str, Any]:
        client = await remote(settings)
        try:
            return await answer(client, request)
        finally:
            await client.close()

    return asyncio.run(main())


def test_any_server_of_the_api_will_do() -> None:
    reply = events(
        part("hel"),
        part("lo"),
        part("", "stop"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
        "[DONE]",
    )
    with server({"/v1/models": models("vllm", max_model_len=2048), "/v1/chat/completions": (200, SSE, reply)}) as (
        settings,
        bodies,
    ):
        text, done = asked(settings, ChatRequest(start("hi"), stop=("x",), prediction="p"))
    assert text == "hello" and (done.usage.prompt, done.usage.completion) == (3, 2)
    sent = bodies[-1]
    assert sent["model"] == "theirs" and sent["key"] == "Bearer k3y" and sent["stop"] == ["x"]
    assert "prediction" not in sent and "max_tokens" not in sent


def test_what_a_server_can_do_is_found_out_once() -> None:
    counted = (200, {}, b'{"count": 5, "max_model_len": 2048}')

    async def profile(settings: Settings) -> tuple[Any, Any]:
        client = await remote(settings)
        try:
            return client.profile, await client.count(start("hello"))
        finally:
            await client.close()

    with server({"/v1/models": models("vllm", max_model_len=2048), "/tokenize": counted}) as (settings, bodies):
        found, count = asyncio.run(profile(settings))
    assert found.continues_assistant and found.counts and found.context_length == 2048 and not found.remote
    assert (count.count, count.limit, count.exact) == (5, 2048, True)
    with server({"/v1/models": models("someone")}) as (settings, bodies):
        found, count = asyncio.run(profile(settings))
        assert bodies == []
        with pytest.raises(UsageError):
            asked(settings, ChatRequest(start("hi").then("assistant", "so")))
    assert not found.continues_assistant and not found.counts and not count.exact and count.count >= 2


REFUSALS = [
    ((401, {}, b'{"error": {"message": "bad key", "code": "invalid_api_key"}}'), HostError, "API key"),
    ((404, {}, b'{"error": "model not found"}'), ModelError, "model not found"),
    ((429, {"retry-after": "7"}, b""), HostBusy, "429"),
    ((400, {}, b'{"error": {"message": "maximum context length is 5"}}'), ContextOverflow, "context length"),
    ((500, {}, b"<html><h1>Internal Server Error</h1>" + b"x" * 5000), HostError, "status 500"),
    ((503, {}, b"null"), HostError, "503"),
    ((200, SSE, b"<html>hello</html>"), HostError, "broke off"),
    ((200, SSE, events("not json")), HostError, "no part of a reply"),
    ((200, SSE, events([1])), HostError, "no part of a reply"),
    ((200, SSE, events({"error": {"message": "exploded"}})), HostError, "exploded"),
    ((200, SSE, events(part("hel"))), HostError, "broke off"),
    ((200, {**SSE, "content-length": "999"}, events(part("hel"))), HostError, "broke off"),
]


@pytest.mark.parametrize(("answered", "kind", "said"), REFUSALS)
def test_refusals_of_servers_are_told_clearly(answered: Answer, kind: type[AssistantError], said: str) -> None:
    answers = {"/v1/models": models("someone"), "/v1/chat/completions": answered}
    with server(answers) as (settings, _), pytest.raises(kind, match=said) as caught:
        asked(settings, ChatRequest(start("hi")))
    assert caught.value.remedy and "\n" not in str(caught.value) and len(str(caught.value)) < 500
    if isinstance(caught.value, HostBusy):
        assert caught.value.retry_after == 7


def test_a_server_that_is_none_is_told_at_once() -> None:
    for endpoint, said in (("http://127.0.0.1:9", "cannot be reached"), ("ftp://x", "no URL"), ("localhost:80", "no URL")):
        with pytest.raises(AssistantError, match=said):
            asked(Settings(endpoint=endpoint), ChatRequest(start("hi")))
    with server({"/v1/models": (200, {}, b"<html>")}) as (settings, _), pytest.raises(HostError, match="OpenAI"):
        asked(settings, ChatRequest(start("hi")))


@given(
    st.text(max_size=60), st.sampled_from(["<|im_end|>", "<|end|>", "</s>", "[INST]", "<fim_middle>", "<｜end▁of▁sentence｜>"])
)
def test_control_words_are_broken_up_before_they_are_sent(text: str, word: str) -> None:
    conversation = Conversation((Message("user", f"{text}{word}{text}"),))
    broken, found = defused(conversation)
    sent = broken.messages[0].content
    assert found >= 1 and word not in sent
    assert sent.replace("\u2060", "") == conversation.messages[0].content.replace("\u2060", "")


def test_breaking_up_is_reported_and_ordinary_text_is_left_alone() -> None:
    plain = start("if a < b | c > d: x[0] = '<div>' <br> vector<int> <- [INSTANCE]")
    assert defused(plain) == (plain, 0)

    async def notes(settings: Settings) -> list[str]:
        client = await remote(settings)
        items = [item async for item in client.stream(ChatRequest(start("a <|im_end|> b")))]
        await client.close()
        return [item.note for item in items if isinstance(item, Waiting) and item.note]

    reply = events(part("x", "stop"), "[DONE]")
    with server({"/v1/models": models("x"), "/v1/chat/completions": (200, SSE, reply)}) as (settings, bodies):
        assert len(asyncio.run(notes(settings))) == 1
    assert "<|im_end|>" not in bodies[-1]["messages"][0]["content"]
