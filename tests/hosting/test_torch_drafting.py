"""Copy drafting: whatever is drafted, the reply is that of plain decoding, and wrong drafts cost next to nothing."""

import random
from collections import Counter
from collections.abc import Sequence
from functools import cache

import pytest
import torch
import transformers
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from assistant.hosting.engine import EngineRequest, Sampling
from assistant.hosting.torch_engine.decode import CPU, CPU_BF16, CPU_INT4, GPU, Pace, generate
from assistant.hosting.torch_engine.drafting import LADDER, CopyDraft
from assistant.hosting.torch_engine.kv import empty
from assistant.hosting.torch_engine.sampling import Picker
from tests.hosting.torch_streaming import GREEDY, engine, loaded, never, run
from tests.tiny_models import WINDOW, tiny

ARCHITECTURES = ["gpt_bigcode", "starcoder2", "qwen2", "llama"]
FREE = Pace(16, 0)
"""Wrong drafts cost nothing, so that there is one at every chance."""

PROMPT = [40 + 17 * number % 200 for number in range(30)]


def drafted(
    architecture: str, prompt: Sequence[int], tokens: int, prediction: Sequence[int], sampling: Sampling = GREEDY
) -> tuple[tuple[int, ...], int, int]:
    """The reply with a draft at every chance; tokens drafted rightly, and forward passes."""
    model = loaded(tiny(architecture))
    request = EngineRequest(tuple(prompt), tokens, frozenset(), sampling, tuple(prediction))
    kv = empty(model.config, WINDOW)
    steps = list(generate(model.forward, kv, request, never, FREE))
    reply = tuple(token for step in steps for token in step.tokens)
    assert kv.ids == [*prompt, *reply][:-1], "the cache must hold just what was kept"
    assert {layer.length for layer in kv.cache.layers} == {len(kv.ids)}
    return reply, sum(step.accepted for step in steps), len(steps) - 1


@cache
def plain(architecture: str, prompt: tuple[int, ...], tokens: int) -> tuple[int, ...]:
    """What `generate` of transformers says."""
    config = transformers.GenerationConfig(do_sample=False, max_new_tokens=tokens, pad_token_id=0, eos_token_id=-1)
    ids = torch.tensor([prompt])
    out = loaded(tiny(architecture)).model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
    return tuple(out[0, len(prompt) :].tolist())


def edited(text: Sequence[int], random_: random.Random) -> list[int]:
    """The text with some places changed, left out and put in, as the old text of an edit is to the new."""
    changed = list(text)
    for _ in range(random_.randrange(0, 5)):
        place = random_.randrange(0, len(changed))
        changed[place : place + random_.randrange(0, 4)] = [random_.randrange(30, 90) for _ in range(random_.randrange(0, 4))]
    return changed or [30]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@seed(4)
@settings(max_examples=12, deadline=None, database=None)
@given(st.integers(0, 2**32))
def test_any_draft_yields_the_greedy_reply(architecture: str, number: int) -> None:
    random_ = random.Random(number)
    expected = plain(architecture, tuple(PROMPT), 60)
    prediction = edited(expected, random_) if random_.random() < 0.8 else [random_.randrange(30, 400) for _ in range(50)]
    tokens = random_.randrange(1, 61)
    assert drafted(architecture, PROMPT, tokens, prediction)[0] == expected[:tokens]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_right_prediction_takes_few_passes(architecture: str) -> None:
    expected = plain(architecture, tuple(PROMPT), 100)
    reply, accepted, passes = drafted(architecture, PROMPT, 100, expected)
    assert reply == expected
    assert accepted + passes == 100
    assert passes <= 8


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_draft_goes_on_after_a_change(architecture: str) -> None:
    expected = plain(architecture, tuple(PROMPT), 100)
    old = [*expected[:40], 31, 32, 33, *expected[43:70], *expected[75:]]
    reply, accepted, passes = drafted(architecture, PROMPT, 100, old)
    assert reply == expected
    assert passes <= 25, "the draft was not taken up again"
    assert accepted >= 75


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_drafts_on_kept_prefixes_change_no_reply(architecture: str, chunk: int) -> None:
    """Where transformers' own lookup is silently wrong: a filled cache, and one that holds the whole prompt."""
    opened, fresh = engine(tiny(architecture), chunk=chunk), engine(tiny(architecture))
    for prompt in (PROMPT, PROMPT, [*PROMPT, 50, 51], PROMPT[:20], PROMPT):
        expected = run(fresh, prompt, 40).ids
        reply = run(opened, prompt, 40, prediction=expected)
        assert reply.ids == expected == plain(architecture, tuple(prompt), 40)
        assert reply.finish.usage.accepted > 20


@pytest.mark.parametrize("architecture", ["gpt_bigcode", "starcoder2"])
def test_two_requests_that_take_turns_do_not_disturb_each_other(architecture: str) -> None:
    opened = engine(tiny(architecture), chunk=8)
    run(opened, PROMPT, 4)  # a beginning that both go on from
    prompts = ([*PROMPT, 60, 61], [*PROMPT, 70])
    expected = [plain(architecture, tuple(prompt), 50) for prompt in prompts]
    streams = [
        opened.stream(EngineRequest(tuple(prompt), 50, frozenset(), GREEDY, ids[5:]), never)
        for prompt, ids in zip(prompts, expected, strict=True)
    ]
    replies: list[list[int]] = [[], []]
    running = [0, 1]
    while running:
        for which in list(running):
            item = next(streams[which], None)
            if item is None:
                running.remove(which)
            replies[which] += getattr(item, "ids", ())
    assert [tuple(reply) for reply in replies] == expected


def test_a_draft_never_passes_the_window_or_the_length() -> None:
    opened = engine(tiny("gpt_bigcode"))
    prompt = [30 + number % 90 for number in range(WINDOW - 40)]
    expected = run(engine(tiny("gpt_bigcode")), prompt, 1000).ids
    reply = run(opened, prompt, 1000, prediction=[*expected, *expected])
    assert reply.ids == expected
    assert (len(reply.ids), reply.finish.reason) == (40, "length")


def test_a_stop_id_inside_a_draft_ends_the_reply_before_it() -> None:
    opened = engine(tiny("gpt_bigcode"))
    expected = run(opened, PROMPT, 60).ids
    for place in (0, 1, 5, 30, 59):
        stop = expected[place]
        reply = run(opened, PROMPT, 60, frozenset({stop}), prediction=expected)
        assert reply.ids == expected[: expected.index(stop)]
        assert reply.finish.reason == "stop"
        assert reply.finish.usage.completion == len(reply.ids) >= reply.finish.usage.accepted


def test_usage_counts_what_was_drafted() -> None:
    opened = engine(tiny("gpt_bigcode"))
    expected = run(opened, PROMPT, 60).ids
    good = run(opened, PROMPT, 60, prediction=expected).finish.usage
    assert good.accepted > 40
    assert good.completion == 60
    bad = run(opened, PROMPT, 60, prediction=[expected[0], *[31] * 60]).finish.usage
    assert bad.accepted == 0
    assert 0 < bad.rejected < 60


@pytest.mark.parametrize("sampling", [Sampling(0.9, 1.0, 5), Sampling(1.3, 0.8, 6), Sampling(0.7, 0.95, 7)])
def test_a_seed_gives_the_same_reply_with_and_without_a_draft(sampling: Sampling) -> None:
    expected = drafted("qwen2", PROMPT, 60, (), sampling)[0]
    assert len(set(expected)) > 10
    random_ = random.Random(1)
    for _ in range(6):
        assert drafted("qwen2", PROMPT, 60, edited(expected, random_), sampling)[0] == expected


def test_drafts_preserve_the_distribution() -> None:
    """Chi-squared over two tokens in a row, the first of them drafted: sampled with a draft against the exact probabilities."""
    generator = torch.Generator().manual_seed(3)
    first, rows, trials = torch.randn(6, generator=generator), torch.randn(6, 6, generator=generator), 20_000
    exact = torch.softmax(first / 0.8, -1)[:, None] * torch.softmax(rows / 0.8, -1)
    pick, counts = Picker(Sampling(0.8, 1.0, 11)), Counter[tuple[int, int]]()
    for trial in range(trials):
        guess = trial % 6
        drawn = pick(torch.stack([first, rows[guess]]))
        if drawn[0] == guess:
            pair = (drawn[0], drawn[1])
            pick.take(2)
        else:
            pick.take(1)
            pair = (drawn[0], pick(rows[drawn[0]][None])[0])
            pick.take(1)
        counts[pair] += 1
    expected = {(one, two): float(exact[one, two]) * trials for one in range(6) for two in range(6)}
    chi = sum((counts[pair] - wanted) ** 2 / wanted for pair, wanted in expected.items())
    assert chi < 66.6, "35 degrees of freedom; 0.1 % lie above"


def test_a_nucleus_is_drawn_from_in_proportion() -> None:
    logits = torch.log(torch.tensor([0.05, 0.4, 0.1, 0.3, 0.15]))
    pick = Picker(Sampling(1.0, 0.7, 2))
    counts = Counter[int]()
    for _ in range(100):
        drawn = pick(logits.expand(100, -1))
        pick.take(100)
        counts.update(drawn)
    assert set(counts) == {1, 3}
    assert abs(counts[1] / 10_000 - 4 / 7) < 0.02


def test_a_wide_nucleus_over_a_large_vocabulary_is_whole() -> None:
    """Where the likeliest few do not hold the nucleus, all tokens are looked at."""
    pick = Picker(Sampling(1.0, 0.99, 2))
    drawn = pick(torch.zeros(4000, 2000))
    assert len(set(drawn)) > 1500


@pytest.mark.parametrize("pace", [CPU, CPU_BF16, CPU_INT4, GPU], ids=["cpu", "bf16", "int4", "gpu"])
def test_hopeless_drafts_cost_at_most_three_percent(pace: Pace) -> None:
    """A reply of 400 tokens that never goes on as any draft says, though every pair of tokens was seen before."""
    random_ = random.Random(8)
    prompt = [random_.randrange(6) for _ in range(2000)]
    draft, spent, guess = CopyDraft(prompt, (), pace.price), 0.0, ()
    for _ in range(400):
        draft.extend((random_.randrange(6) if not guess else (guess[0] + 1) % 6,), 0, len(guess))
        guess = draft.propose(500)
        spent += len(guess) * pace.price
    assert spent <= 0.03 * 400


def test_drafts_grow_while_they_are_right_and_shrink_when_wrong() -> None:
    prediction = list(range(1000))
    draft, sizes, place = CopyDraft((5000, 5001), prediction, CPU.price), [], 1
    draft.extend(prediction[:1], 0, 0)
    for _ in range(8):
        guess = draft.propose(500)
        assert list(guess) == prediction[place : place + len(guess)]
        sizes.append(len(guess))
        place += len(guess) + 1
        draft.extend((*guess, prediction[place - 1]), len(guess), 0)
    assert sizes[0] == LADDER[0]
    assert sizes == sorted(sizes)
    assert sizes[-1] == LADDER[-1]
    assert draft.propose(500)
    draft.extend((7000,), 0, 64)
    assert draft.propose(500) == (), "nothing speaks for any draft after a new token"
    draft.extend(prediction[20:22], 0, 0)
    assert 0 < len(draft.propose(500)) < LADDER[-1]
