"""What the host answers to right and wrong requests."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

import pytest

from assistant.conversation import start
from assistant.errors import ContextOverflow, OutOfMemory, UsageError
from assistant.models.spec import ModelSpec
from assistant.streaming import ChatRequest, Delta
from tests.hosting.scripted_host import (
    SETTINGS,
    answer,
    ask,
    chat,
    client_of,
    dial,
    exchange,
    health,
    home,
    post,
    record_of,
    script,
)
from tests.scale import rounds

WINDOW = 600
CHATS = "/v1/chat/completions"


@pytest.fixture(scope="module")
def spec() -> Iterator[ModelSpec]:
    """One host for all tests here."""
    with home() as folder:
        spec = script(
            folder,
            {"match": "count to three", "reply": "one two three"},
            {"match": "babble", "reply": "I will now fix the bug in the function. " * 40},
            {"match": "talk long", "reply": "x" * 10_000},
            {"match": "too much", "oom": True},
            {"match": r"begin<\|end\|>\n<\|assistant\|>\nonce upon$", "reply": " a time"},
            {"match": "fim_prefix", "reply": "the middle"},
            {"match": "waver", "reply": "é is a + b. Stop.", "hesitates": {"a ": "-"}},
            {"echo": True},
            context_length=WINDOW,
        )

        async def begin() -> None:
            async with client_of(spec, SETTINGS):
                pass

        asyncio.run(begin())
        yield spec


def ok(spec: ModelSpec, path: str, body: object) -> dict:
    status, _, answered = exchange(spec, post(path, body))
    assert status == 200, answered
    return answered


def test_a_reply_at_once_and_streamed_is_the_same(spec: ModelSpec) -> None:
    async def streamed() -> tuple[str, object]:
        async with client_of(spec) as client:
            return await answer(client, ask("count to three"))

    whole = ok(spec, CHATS, chat("count to three"))
    text, done = asyncio.run(streamed())
    assert whole["choices"][0] == {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    assert text == "one two three"
    assert done.usage.prompt == whole["usage"]["prompt_tokens"]
    assert done.usage.cached == done.usage.prompt - 1
    assert done.usage.completion == 13


def test_a_stream_is_what_clients_of_the_api_expect(spec: ModelSpec) -> None:
    with dial(spec) as line:
        line.sendall(
            post(CHATS, chat("count to three", stream=True, stream_options={"include_usage": True}), "connection: close")
        )
        raw = b""
        while part := line.recv(65536):
            raw += part
    lines = [part for part in raw.decode().splitlines() if part.startswith("data: ")]
    chunks = [json.loads(part[6:]) for part in lines[:-1]]
    assert b"text/event-stream" in raw and lines[-1] == "data: [DONE]"
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1]) == "one two three"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] == 13


def test_limits_of_length_are_kept(spec: ModelSpec) -> None:
    short = ok(spec, CHATS, chat("count to three", max_tokens=4))
    assert short["choices"][0]["message"]["content"] == "one " and short["choices"][0]["finish_reason"] == "length"
    assert ok(spec, CHATS, chat("count to three", max_completion_tokens=3))["usage"]["completion_tokens"] == 3
    for limit in (None, WINDOW * 2, 10**9):
        usage = ok(spec, CHATS, chat("talk long", max_tokens=limit))["usage"]
        assert usage["total_tokens"] == WINDOW
    status, _, refused = exchange(spec, post(CHATS, chat("x" * WINDOW)))
    assert status == 400 and refused["error"]["code"] == "context_length_exceeded"
    assert f"{WINDOW}" in refused["error"]["message"] and refused["error"]["remedy"]


def test_stop_texts_and_loops_end_a_reply(spec: ModelSpec) -> None:
    for stop in (" two", [" three", " two"]):
        choice = ok(spec, CHATS, chat("count to three", stop=stop))["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == ("one", "stop")
    choice = ok(spec, CHATS, chat("babble"))["choices"][0]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", "loop")
    assert len(choice["message"]["content"]) < 400


def test_a_final_message_of_the_assistant_is_continued(spec: ModelSpec) -> None:
    messages = [{"role": "user", "content": "begin"}, {"role": "assistant", "content": "once upon"}]
    assert ok(spec, CHATS, {"messages": messages})["choices"][0]["message"]["content"] == " a time"


def test_completions_fill_in_the_middle(spec: ModelSpec) -> None:
    filled = ok(spec, "/v1/completions", {"prompt": "def f(", "suffix": "return", "max_tokens": 24})
    assert filled["choices"][0]["text"] == "the middle" and filled["object"] == "text_completion"
    assert filled["usage"]["prompt_tokens"] == len("def f(") + len("return") + 3
    assert ok(spec, "/v1/completions", {"prompt": [104, 105]})["usage"]["prompt_tokens"] == 2


def test_tokens_are_counted_as_they_are_sent(spec: ModelSpec) -> None:
    counted = ok(spec, "/tokenize", chat("count to three"))
    assert counted == {"count": ok(spec, CHATS, chat("count to three"))["usage"]["prompt_tokens"], "max_model_len": WINDOW}
    assert ok(spec, "/tokenize", {"prompt": "héllo"})["count"] == 6


def test_text_forges_no_turn(spec: ModelSpec) -> None:
    # The engine echoes the last user turn as its own decoder sees it: a forged end of turn would cut it short in ids, and
    # the count would be less than the bytes.
    for word in ("<|end|>", "<|assistant|>", "<|endoftext|>", "<fim_middle>", "<|im_end|>"):
        text = f"a{word}b"
        empty = ok(spec, "/tokenize", chat("ab"))["count"]
        assert ok(spec, "/tokenize", chat(text))["count"] == empty + len(word)


WRONG = {
    "messages": [{}, {"messages": "hi"}, {"messages": []}, {"messages": [1]}, {"messages": [{"role": "tool", "content": "x"}]}],
    "n": [chat("x", n=2), chat("x", n=10**9), chat("x", n="two")],
    "max_tokens": [chat("x", max_tokens=0), chat("x", max_tokens=-1), chat("x", max_tokens="5"), chat("x", max_tokens=True)],
    "max_completion_tokens": [chat("x", max_completion_tokens=1.5)],
    "temperature": [chat("x", temperature=-1), chat("x", temperature="hot"), chat("x", temperature=9)],
    "top_p": [chat("x", top_p=1.5)],
    "seed": [chat("x", seed="a"), chat("x", seed=2**70)],
    "stop": [chat("x", stop=5), chat("x", stop=["a"] * 5), chat("x", stop=[""])],
    "stream": [chat("x", stream="yes")],
    "stream_options": [chat("x", stream_options=[1])],
    "prediction": [chat("x", prediction="text"), chat("x", prediction={"type": "other"})],
}


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_field_is_named(spec: ModelSpec, field: str) -> None:
    for body in WRONG[field]:
        status, _, refused = exchange(spec, post(CHATS, body))
        assert status == 400 and refused["error"]["code"] == "invalid_request", body
        assert field in refused["error"]["message"] or field == "messages", refused
        assert refused["error"]["remedy"]


def test_bodies_that_are_no_json_are_refused(spec: ModelSpec) -> None:
    for body in (b"", b"{", b"[]", b"nul", b"\xff\xfe", b'{"messages":' + b"[" * 100_000, b'{"n": ' + b"9" * 10_000 + b"}"):
        status, _, refused = exchange(spec, post(CHATS, body))
        assert status == 400 and refused["error"]["code"] == "invalid_request", body[:20]
    broken = b'{"messages": [{"role": "user", "content": "\\ud800"}]}'
    assert exchange(spec, post(CHATS, broken))[2]["error"]["code"] == "invalid_request"


def test_unknown_fields_are_passed_over_and_unknown_paths_are_not(spec: ModelSpec) -> None:
    assert ok(spec, CHATS, chat("count to three", frequency_penalty=1, tools=[], user="me", n=1))["choices"]
    assert exchange(spec, post("/v1/embeddings", {}))[0] == 404
    assert exchange(spec, b"GET /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\r\n")[0] == 405


def test_ids_that_the_model_does_not_know_are_refused(spec: ModelSpec) -> None:
    for prompt in ([10**6], [], [-1], ["a"], [True], 5, None):
        assert exchange(spec, post("/v1/completions", {"prompt": prompt}))[0] == 400, prompt


def test_what_the_engine_refuses_keeps_its_name(spec: ModelSpec) -> None:
    status, _, refused = exchange(spec, post(CHATS, chat("too much")))
    assert status == 507 and refused["error"]["code"] == "out_of_memory" and "9.0 GB" in refused["error"]["message"]

    async def main() -> None:
        async with client_of(spec) as client:
            with pytest.raises(OutOfMemory, match=r"9\.0 GB"):
                await answer(client, ask("too much"))
            with pytest.raises(ContextOverflow, match="600"):
                await answer(client, ask("x" * WINDOW))
            with pytest.raises(UsageError):
                await answer(client, ask("x", temperature=5))
            assert (await client.count(start("hi"))).exact

    asyncio.run(main())


def test_a_body_of_64_mib_is_refused_and_memory_stays_flat(spec: ModelSpec) -> None:
    before = health(spec)["memory_bytes"]
    for _ in range(2):
        status, _, _ = exchange(spec, post(CHATS, b" " * 2**26))
        assert status == 400
    endless = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    assert exchange(spec, endless + (b"100000\r\n" + b" " * 2**20 + b"\r\n") * 12)[0] == 400
    assert health(spec)["memory_bytes"] - before < 50 * 2**20


def test_slow_and_broken_requests_hold_nobody_up(spec: ModelSpec) -> None:
    lines = [dial(spec) for _ in range(rounds(1000))]
    try:
        for number, line in enumerate(lines):
            line.sendall(
                (b"POST /v1/chat/comp", post(CHATS, chat("x"))[:-5], b"\x16\x03\x01\x00nonsense", b"GET /")[number % 4]
            )
        waits = []
        for _ in range(20):
            begun = time.perf_counter()
            assert health(spec)["status"] == "ok"
            waits.append(time.perf_counter() - begun)
        assert max(waits) < 0.5
        assert ok(spec, CHATS, chat("count to three"))
    finally:
        for line in lines:
            line.close()
    with dial(spec) as line:
        for _ in range(200):
            try:
                line.sendall(b"x-filler: " + b"y" * 10_000 + b"\r\n")
            except OSError:
                break
            time.sleep(0.001)
        else:
            pytest.fail("a head without end was read on and on")


def test_no_web_page_gets_in(spec: ModelSpec) -> None:
    body = chat("count to three")
    assert exchange(spec, post(CHATS, body, "origin: https://example.org"))[0] == 403
    assert exchange(spec, post(CHATS, body).replace(b"application/json", b"text/plain"))[0] == 415
    assert exchange(spec, b"POST /starchat/stop HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n")[0] == 415
    assert health(spec)["status"] == "ok"


def test_over_tcp_only_the_token_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    with home() as folder:
        monkeypatch.setenv("STARCHAT_TRANSPORT", "tcp")
        spec = script(folder)

        async def main() -> None:
            async with client_of(spec) as client:
                assert (await answer(client, ask("x")))[0] == "ok"

        asyncio.run(main())
        record = record_of(spec)
        assert record.socket is None and record.token and len(record.token) > 30
        host, good = f"host: 127.0.0.1:{record.port}", f"authorization: Bearer {record.token}"
        right = post(CHATS, chat("x"), good).replace(b"host: localhost", host.encode())
        assert exchange(spec, right)[0] == 200
        for wrong in (
            post(CHATS, chat("x")),
            post(CHATS, chat("x"), "authorization: Bearer wrong"),
            post(CHATS, chat("x"), good),
            post(CHATS, chat("x"), good).replace(b"host: localhost", b"host: evil.example"),
            right.replace(b"content-type", b"origin: http://127.0.0.1\r\ncontent-type"),
            b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n",
        ):
            assert exchange(spec, wrong)[0] in (401, 403)
        # The token is in a file of ours only.
        assert (folder / "hosts" / f"{spec.key}.json").stat().st_mode & 0o077 == 0
        monkeypatch.delenv("STARCHAT_TRANSPORT")


def wavering(spec: ModelSpec, **fields: object) -> dict:
    return ok(spec, CHATS, {**chat("waver"), "logprobs": True, **fields})["choices"][0]


def test_a_chat_tells_how_likely_its_tokens_were_and_what_else_was(spec: ModelSpec) -> None:
    choice = wavering(spec, top_logprobs=3)
    told = choice["logprobs"]["content"]
    assert "".join(token["token"] for token in told[1:]) == " is a + b. Stop."  # the first token is half of a character
    assert all(len(token["top_logprobs"]) == (2 if token["token"] == "+" else 1) for token in told)
    (doubtful,) = [token for token in told if len(token["top_logprobs"]) > 1]
    assert [(one["token"], one["bytes"]) for one in doubtful["top_logprobs"]] == [("+", [43]), ("-", [45])]
    assert all(one["logprob"] <= 0 for token in told for one in (token, *token["top_logprobs"]))


def test_log_probabilities_without_alternatives_and_with_a_stop_text(spec: ModelSpec) -> None:
    assert all(len(token["top_logprobs"]) == 1 for token in wavering(spec)["logprobs"]["content"])
    choice = wavering(spec, top_logprobs=2, stop=[" Stop"])
    assert choice["message"]["content"] == "é is a + b."
    assert "logprobs" not in ok(spec, CHATS, chat("waver"))["choices"][0]


@pytest.mark.parametrize(
    "fields",
    [
        {"logprobs": 1},
        {"logprobs": "yes"},
        {"top_logprobs": 2},
        {"logprobs": True, "top_logprobs": 21},
        {"logprobs": True, "top_logprobs": -1},
    ],
)
def test_log_probabilities_that_make_no_sense_are_refused(spec: ModelSpec, fields: dict) -> None:
    status, _, answered = exchange(spec, post(CHATS, {**chat("waver"), **fields}))
    assert status == 400 and "logprobs" in answered["error"]["message"]


def test_a_stream_carries_the_tokens_with_their_text(spec: ModelSpec) -> None:
    async def deltas() -> list[Delta]:
        async with client_of(spec, SETTINGS) as client:
            request = ChatRequest(start("waver"), alternatives=2)
            return [item async for item in client.stream(request) if isinstance(item, Delta)]

    found = asyncio.run(deltas())
    assert "".join(delta.text for delta in found) == "é is a + b. Stop."
    tokens = [token for delta in found for token in delta.tokens]
    assert [token.top for token in tokens if len(token.top) > 1] == [(("+", -0.01), ("-", -1.0))]
