"""The `openai` package at the door of `assistant serve`: a client that nobody here wrote."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.hosting.scripted_host import home, script

PROGRAM = str(Path(sys.executable).with_name("assistant"))
QUESTION = [{"role": "user", "content": "count to three"}]


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with home() as folder:
        spec = script(folder, {"match": "count to three", "reply": "one two three"}, {"reply": "xyz"}, context_length=600)
        command = [PROGRAM, "serve", "-m", f"scripted:{spec.path}", "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert process.stdout is not None
            url, token = (process.stdout.readline().rsplit(" ", 1)[1].strip() for _ in range(2))
            with openai.OpenAI(base_url=url, api_key=token, max_retries=0) as client:
                yield client
        finally:
            process.kill()
            process.communicate()


def test_chats_whole_and_streamed(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    whole = client.chat.completions.create(model=model.id, messages=QUESTION, seed=7, temperature=0)
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("one two three", "stop")
    assert whole.usage.completion_tokens == 13
    chunks = list(
        client.chat.completions.create(model=model.id, messages=QUESTION, stream=True, stream_options={"include_usage": True})
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "one two three"
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens == whole.usage.prompt_tokens - 1


def test_completions_with_log_probabilities(client: openai.OpenAI) -> None:
    choice = client.completions.create(model="any", prompt="abc", max_tokens=0, echo=True, logprobs=1).choices[0]
    assert choice.text == "abc" and choice.logprobs.tokens == ["a", "b", "c"]
    assert choice.logprobs.token_logprobs == [None, -0.1, -0.1]


def test_chats_with_log_probabilities(client: openai.OpenAI) -> None:
    asked = {"model": "any", "messages": QUESTION, "logprobs": True, "top_logprobs": 2}
    whole = client.chat.completions.create(**asked).choices[0]
    assert "".join(token.token for token in whole.logprobs.content) == whole.message.content
    assert all(token.top_logprobs[0].token == token.token for token in whole.logprobs.content)
    chunks = [chunk.choices[0] for chunk in client.chat.completions.create(**asked, stream=True) if chunk.choices]
    assert [token for choice in chunks if choice.logprobs for token in choice.logprobs.content] == whole.logprobs.content


def test_refusals_have_the_names_that_the_package_gives_them(client: openai.OpenAI) -> None:
    for fields in ({"n": 2}, {"tools": [{"type": "function", "function": {"name": "rm", "parameters": {}}}]}):
        with pytest.raises(openai.BadRequestError, match="|".join(fields)):
            client.chat.completions.create(model="any", messages=QUESTION, **fields)
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="any", messages=[{"role": "user", "content": "x" * 600}])
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-of-somebody-else").models.list()
