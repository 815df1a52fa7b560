"""Completions beyond one text: ids, several prompts, echo and log-probabilities; and what is refused by name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from assistant.models.spec import ModelSpec
from tests.hosting.scripted_host import chat, client_of, exchange, home, post, script

PATH = "/v1/completions"
CHATS = "/v1/chat/completions"


@pytest.fixture(scope="module")
def spec() -> Iterator[ModelSpec]:
    with home() as folder:
        spec = script(folder, {"match": "^abc$", "reply": "defg"}, {"reply": "xyz"}, context_length=600)

        async def begin() -> None:
            async with client_of(spec):
                pass

        asyncio.run(begin())
        yield spec


def ok(spec: ModelSpec, **body: object) -> dict:
    status, _, answered = exchange(spec, post(PATH, body))
    assert status == 200, answered
    return answered


def refused(spec: ModelSpec, path: str, **body: object) -> str:
    status, _, answered = exchange(spec, post(path, body))
    assert status == 400, answered
    assert answered["error"]["remedy"]
    return answered["error"]["message"]


def test_echo_and_logprobs_cover_prompt_and_reply(spec: ModelSpec) -> None:
    answered = ok(spec, prompt="abc", echo=True, logprobs=2, max_tokens=3)
    (choice,) = answered["choices"]
    assert (choice["text"], choice["finish_reason"], choice["index"]) == ("abcdef", "length", 0)
    told = choice["logprobs"]
    assert told["tokens"] == list("abcdef") and told["text_offset"] == [0, 1, 2, 3, 4, 5]
    assert told["token_logprobs"] == [None, *[-0.1] * 5] and told["top_logprobs"][0] is None
    assert told["top_logprobs"][1] == {"b": -0.1, "c": -0.2}
    assert (answered["usage"]["prompt_tokens"], answered["usage"]["completion_tokens"]) == (3, 3)


def test_without_echo_only_the_reply_is_told(spec: ModelSpec) -> None:
    (choice,) = ok(spec, prompt="abc", logprobs=0, max_tokens=2)["choices"]
    assert choice["text"] == "de" and choice["logprobs"]["tokens"] == ["d", "e"]
    assert choice["logprobs"]["top_logprobs"] == [{"d": -0.1}, {"e": -0.1}]


def test_a_prompt_can_be_scored_alone(spec: ModelSpec) -> None:
    answered = ok(spec, prompt=[97, 98, 120], echo=True, logprobs=1, max_tokens=0)
    (choice,) = answered["choices"]
    assert choice["text"] == "abx" and answered["usage"]["completion_tokens"] == 0
    assert choice["logprobs"]["token_logprobs"] == [None, -0.1, -2.12]
    assert choice["logprobs"]["top_logprobs"][2] == {"c": -0.1, "x": -2.12}


def test_a_harness_gets_exactly_one_token_more(spec: ModelSpec) -> None:
    """As lm-eval asks: it drops the last token and takes the others for the prompt's."""
    for prompt in ("abc", "q"):
        (choice,) = ok(spec, prompt=[list(prompt.encode())], echo=True, logprobs=1, max_tokens=1, temperature=0, seed=7)[
            "choices"
        ]
        assert len(choice["logprobs"]["token_logprobs"]) == len(prompt) + 1


def test_several_prompts_are_answered_in_order(spec: ModelSpec) -> None:
    answered = ok(spec, prompt=["abc", "q", [97, 98, 99]])
    assert [(one["index"], one["text"]) for one in answered["choices"]] == [(0, "defg"), (1, "xyz"), (2, "defg")]
    assert answered["usage"]["prompt_tokens"] == 7


def test_echo_alone_needs_no_scores(spec: ModelSpec) -> None:
    (choice,) = ok(spec, prompt="abc", echo=True)["choices"]
    assert choice == {"index": 0, "text": "abcdefg", "logprobs": None, "finish_reason": "stop"}


def test_parts_of_characters_are_named_apart(spec: ModelSpec) -> None:
    (choice,) = ok(spec, prompt="é", echo=True, logprobs=1, max_tokens=0)["choices"]
    assert choice["logprobs"]["tokens"] == ["token_id:195", "token_id:169"]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("logprobs", {"logprobs": -1}),
        ("logprobs", {"logprobs": 10**9}),
        ("logprobs", {"logprobs": True}),
        ("echo", {"echo": "yes"}),
        ("stream", {"echo": True, "stream": True}),
        ("suffix", {"logprobs": 1, "suffix": "x"}),
        ("max_tokens", {"max_tokens": 0}),
        ("best_of", {"best_of": 4}),
        ("best_of", {"best_of": 10**9}),
        ("n", {"n": True}),
        ("prompt", {"prompt": ["a"] * 33}),
        ("prompt", {"prompt": [[]]}),
        ("prompt", {"prompt": [["a"], [1]]}),
        ("prompt", {"prompt": []}),
        ("logit_bias", {"logit_bias": {"50256": -100}}),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(spec: ModelSpec, name: str, body: dict[str, object]) -> None:
    assert f"`{name}`" in refused(spec, PATH, **{"prompt": "abc", **body})


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("tools", {"tools": [{"type": "function", "function": {"name": "rm"}}]}),
        ("functions", {"functions": [{"name": "rm"}]}),
        ("tool_choice", {"tool_choice": "required"}),
        ("response_format", {"response_format": {"type": "json_object"}}),
        ("modalities", {"modalities": ["text", "audio"]}),
        ("logprobs", {"logprobs": 1}),
        ("top_logprobs", {"top_logprobs": 3}),
    ],
)
def test_chats_refuse_what_they_cannot_do(spec: ModelSpec, name: str, fields: dict[str, object]) -> None:
    assert f"`{name}`" in refused(spec, CHATS, **chat("hi", **fields))


def test_images_are_refused_and_empty_wishes_are_not(spec: ModelSpec) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    assert "not text" in refused(spec, CHATS, messages=[{"role": "user", "content": [{"type": "text", "text": "x"}, image]}])
    nothing = {
        "n": 1,
        "tools": [],
        "tool_choice": "auto",
        "response_format": {"type": "text"},
        "logit_bias": {},
        "logprobs": False,
    }
    status, _, _ = exchange(spec, post(CHATS, chat("hi", **nothing, presence_penalty=0, frequency_penalty=0.0, user="me")))
    assert status == 200
