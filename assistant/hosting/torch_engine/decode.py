"""Prefill in chunks, then step by step: one token, or one and a draft, with a way to stop in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import torch

from assistant.hosting.engine import EngineRequest, TokenScore
from assistant.hosting.torch_engine.drafting import CopyDraft
from assistant.hosting.torch_engine.kv import KV
from assistant.hosting.torch_engine.network import Forward
from assistant.hosting.torch_engine.sampling import Picker
from assistant.hosting.torch_engine.scoring import token_scores
from assistant.wire import FinishReason


@dataclass(frozen=True, slots=True)
class Pace:
    """How a device likes to work.

    chunk: prompt tokens computed at a time; larger is faster, smaller is sooner cancelled.
    price: what verifying one drafted token costs, in plain steps; a CPU is soon busy, a GPU waits for its memory.
    """

    chunk: int
    price: float


# Measured with a model of 0.5 B parameters on one thread of a CPU; the GPU's is reckoned from its bandwidth.
GPU, CPU_BF16, CPU, CPU_INT4 = Pace(512, 1 / 150), Pace(64, 1 / 24), Pace(64, 1 / 8), Pace(64, 1 / 4)


@dataclass(frozen=True, slots=True)
class Step:
    """What one forward pass added to the reply.

    tokens: the new ids.  accepted, rejected: drafted tokens that were right, and those that were not.
    reason: why the reply is over; the last step alone has one.
    scores: one for each token, where the request asks for alternatives.
    """

    tokens: tuple[int, ...] = ()
    accepted: int = 0
    rejected: int = 0
    reason: FinishReason | None = None
    scores: tuple[TokenScore, ...] = ()


def generate(forward: Forward, kv: KV, request: EngineRequest, cancelled: Callable[[], bool], pace: Pace) -> Iterator[Step]:
    """The reply, step by step; the ids are those of plain decoding, whatever is drafted.

    `kv` holds a proper beginning of the prompt and grows by all that is computed and kept; the last token of a reply is not
    fed.  `cancelled` is asked between any two chunks of the prompt, and before and after every step.
    """
    pick, left = Picker(request.sampling), request.max_tokens
    logits = _prefill(forward, kv, request.prompt[len(kv.ids) :], cancelled, pace.chunk)
    draft = CopyDraft(request.prompt, request.prediction, pace.price)
    guess: tuple[int, ...] = ()
    while left > 0:
        if logits is None or cancelled():
            yield Step(reason="cancelled")
            return
        step = _verified(pick(logits), guess)
        if step.rejected:
            kv.crop(len(kv.ids) - step.rejected)
        pick.take(len(step.tokens))
        reply = tuple(takewhile(lambda token: token not in request.stop_ids, step.tokens))
        scores = tuple(token_scores(logits, reply, request.alternatives)) if request.alternatives else ()
        if len(reply) < len(step.tokens):
            yield Step(reply, min(step.accepted, len(reply)), step.rejected, "stop", scores)
            return
        yield replace(step, scores=scores)
        left -= len(reply)
        draft.extend(reply, step.accepted, step.rejected)
        guess = draft.propose(left - 1) if kv.reusable else ()
        logits = kv.feed(forward, (reply[-1], *guess), len(guess) + 1) if left > 0 and not cancelled() else None
    yield Step(reason="length")


def _verified(picked: Sequence[int], guess: Sequence[int]) -> Step:
    """The drafted tokens that were picked as well, and the token that was picked after them."""
    accepted = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(guess, picked, strict=False)))
    return Step(tuple(picked[: accepted + 1]), accepted, len(guess) - accepted)


def _prefill(forward: Forward, kv: KV, ids: Sequence[int], cancelled: Callable[[], bool], chunk: int) -> torch.Tensor | None:
    """The logits after the last of `ids`, shape `[1, vocabulary]`, or None if it was cancelled before."""
    logits = None
    for start in range(0, len(ids), chunk):
        if cancelled():
            return None
        logits = kv.feed(forward, ids[start : start + chunk], int(start + chunk >= len(ids)))
    return logits
