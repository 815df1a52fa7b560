"""The token loop, chunks and kept prefixes against `generate()` of transformers: fp32, token by token."""

import random

import pytest
import torch
import transformers
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from tests.hosting.torch_streaming import engine, loaded, run
from tests.tiny_models import tiny

ARCHITECTURES = ["gpt_bigcode", "starcoder2", "qwen2", "llama"]
PROMPTS = [[40 + (17 * number + shift) % 200 for number in range(length)] for shift, length in enumerate((1, 2, 9, 30, 70))]


def reference(architecture: str, prompt: list[int], tokens: int) -> tuple[int, ...]:
    config = transformers.GenerationConfig(do_sample=False, max_new_tokens=tokens, pad_token_id=0, eos_token_id=-1)
    ids = torch.tensor([prompt])
    model = loaded(tiny(architecture)).model
    out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
    return tuple(out[0, len(prompt) :].tolist())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("prompt", PROMPTS, ids=len)
def test_greedy_replies_are_those_of_generate(architecture: str, prompt: list[int]) -> None:
    expected = reference(architecture, prompt, 40)
    assert len(set(expected)) > 5, "a model that repeats one token proves nothing"
    assert run(engine(tiny(architecture)), prompt, 40).ids == expected


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_the_size_of_prefill_chunks_does_not_matter(architecture: str, chunk: int) -> None:
    prompt = PROMPTS[-1]
    assert run(engine(tiny(architecture), chunk=chunk), prompt, 20).ids == run(engine(tiny(architecture)), prompt, 20).ids


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_next_turn_computes_only_what_is_new(architecture: str) -> None:
    opened = engine(tiny(architecture))
    first = run(opened, PROMPTS[3], 10)
    assert first.finish.usage.cached == 0
    prompt = [*PROMPTS[3], *first.ids, 60, 61, 62]
    second = run(opened, prompt, 20)
    # The last token of a reply is never fed, so it is computed with the next turn.
    assert second.finish.usage.cached == len(PROMPTS[3]) + len(first.ids) - 1
    assert second.ids == reference(architecture, prompt, 20)


def test_one_conversation_is_kept_once_however_long_it_goes_on() -> None:
    opened = engine(tiny("gpt_bigcode"))
    prompt = PROMPTS[2]
    for _ in range(4):
        prompt = [*prompt, *run(opened, prompt, 10).ids, 60, 61]
    assert [len(kv.ids) for kv, _ in opened._prefixes.kept] == [len(prompt) - 3]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_prompt_that_is_kept_whole_still_computes_its_last_token(architecture: str) -> None:
    opened = engine(tiny(architecture))
    replies = [run(opened, PROMPTS[4], 20) for _ in range(3)]
    assert replies[0].ids == replies[1].ids == replies[2].ids
    assert replies[1].finish.usage.cached == len(PROMPTS[4]) - 1


@pytest.mark.parametrize("architecture", ["gpt_bigcode", "starcoder2"])
@seed(20)
@settings(max_examples=8, deadline=None, database=None)
@given(st.integers(0, 2**32))
def test_kept_prefixes_change_no_reply(architecture: str, number: int) -> None:
    """Conversations that share random beginnings, past the sliding window too, on one engine and each on a fresh one."""
    random_ = random.Random(number)
    stem = [random_.randrange(30, 400) for _ in range(60)]
    opened = engine(tiny(architecture), chunk=random_.choice((5, 16, 64)))
    for _ in range(5):
        prompt = stem[: random_.randrange(1, 60)] + [random_.randrange(30, 400) for _ in range(random_.randrange(0, 6))]
        reply = run(opened, prompt, 6)
        assert reply.ids == run(engine(tiny(architecture)), prompt, 6).ids
        assert reply.finish.usage.cached < len(prompt)
