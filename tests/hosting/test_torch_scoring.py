"""Log-probabilities of the torch engine are those of one plain pass over the whole text."""

from __future__ import annotations

import random

import pytest
import torch

from assistant.errors import ContextOverflow, UsageError
from assistant.hosting.engine import EngineRequest, Piece, Scorer
from assistant.hosting.torch_engine.scoring import SCORED_AT_ONCE
from tests.hosting.torch_streaming import engine, loaded, never, run
from tests.tiny_models import WINDOW, tiny


def scores(opened, ids, top=3):
    return [one for part in opened.score(tuple(ids), top, never) for one in part]


@pytest.mark.parametrize("architecture", ["gpt_bigcode", "starcoder2", "qwen2", "llama"])
@pytest.mark.parametrize("length", [2, SCORED_AT_ONCE, SCORED_AT_ONCE + 1, 2 * SCORED_AT_ONCE + 7])
def test_scores_are_exact(architecture, length):
    opened, model = engine(tiny(architecture)), loaded(tiny(architecture)).model
    assert isinstance(opened, Scorer)
    dice = random.Random(length)
    ids = [dice.randrange(5, 60) for _ in range(length)]
    with torch.inference_mode():
        logs = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].float(), -1)
    found = scores(opened, ids)
    assert len(found) == length - 1
    for place, one in enumerate(found):
        assert one.logprob == pytest.approx(logs[place, ids[place + 1]].item(), abs=1e-4)
        best = torch.topk(logs[place], 3)
        assert [logprob for _, logprob in one.top] == pytest.approx(best.values.tolist(), abs=1e-4)


def test_the_likeliest_token_is_the_one_that_greedy_decoding_takes():
    opened = engine(tiny("gpt_bigcode"))
    prompt = tuple(range(20, 40))
    reply = run(opened, prompt, 16).ids
    found = scores(opened, (*prompt, *reply), top=1)[len(prompt) - 1 :]
    assert tuple(one.top[0][0] for one in found) == reply
    assert all(one.logprob == one.top[0][1] for one in found)


def test_scoring_leaves_what_is_generated_as_it_was():
    opened = engine(tiny("gpt_bigcode"))
    before = run(opened, range(20, 40), 12)
    scores(opened, range(10, 50))
    assert run(opened, range(20, 40), 12).ids == before.ids


def test_one_token_has_no_score_and_cancelling_ends():
    opened = engine(tiny("gpt_bigcode"))
    assert scores(opened, [5]) == []
    assert list(opened.score(tuple(range(5, 60)), 1, lambda: True)) == []
    assert all(one.top == () for one in scores(opened, [5, 6, 7], top=0))


def test_what_does_not_fit_or_is_no_token_is_refused():
    opened = engine(tiny("gpt_bigcode"))
    with pytest.raises(ContextOverflow):
        list(opened.score(tuple([7] * (WINDOW + 2)), 1, never))
    with pytest.raises(UsageError):
        list(opened.score((5, 10**6), 1, never))


@pytest.mark.parametrize("architecture", ["gpt_bigcode", "qwen2"])
def test_a_reply_carries_its_own_scores_drafted_or_not(architecture):
    opened = engine(tiny(architecture))
    prompt = tuple(range(20, 40))
    plain = run(opened, prompt, 24)
    expected = scores(opened, (*prompt, *plain.ids))[len(prompt) - 1 :]
    for prediction in ((), plain.ids, (*plain.ids[:7], 5, *plain.ids[8:])):
        request = EngineRequest(prompt, 24, frozenset(), prediction=prediction, alternatives=3)
        pieces = [item for item in engine(tiny(architecture)).stream(request, never) if isinstance(item, Piece) and item.ids]
        assert tuple(token for piece in pieces for token in piece.ids) == plain.ids
        told = [score for piece in pieces for score in piece.scores]
        assert [one.logprob for one in told] == pytest.approx([one.logprob for one in expected], abs=1e-4)
        assert [[token for token, _ in one.top] for one in told] == [[token for token, _ in one.top] for one in expected]


def test_a_reply_that_is_nothing_but_its_end_has_no_scores():
    opened, prompt = engine(tiny("gpt_bigcode")), tuple(range(20, 40))
    (first, *_) = run(opened, prompt, 2).ids
    *pieces, finish = opened.stream(EngineRequest(prompt, 8, frozenset({first}), alternatives=3), never)
    assert (finish.reason, finish.usage.completion, [piece.ids for piece in pieces if piece.ids]) == ("stop", 0, [])
