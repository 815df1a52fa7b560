"""Log-probabilities of given tokens: one pass over a text, exact, in the format that the model runs in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from assistant.hosting.engine import TokenScore

Feed = Callable[[Sequence[int], int], torch.Tensor]
"""`KV.feed` of an empty cache."""

SCORED_AT_ONCE = 64
"""Tokens of one pass: the logits of all of them are held, of a large vocabulary 600 kB for each."""


def score(
    feed: Feed, ids: Sequence[int], top: int, cancelled: Callable[[], bool], chunk: int
) -> Iterator[tuple[TokenScore, ...]]:
    """The score of each of `ids` but the first, given those before it; `chunk` of them at a time.

    Softmax is taken in float32 over the whole vocabulary.  Ends early once `cancelled` answers True.
    """
    for start in range(0, len(ids) - 1, chunk):
        if cancelled():
            return
        part = ids[start : min(start + chunk, len(ids) - 1)]
        with torch.inference_mode():
            scores = tuple(token_scores(feed(part, len(part)), ids[start + 1 : start + 1 + len(part)], top))
        yield scores


def token_scores(logits: torch.Tensor, following: Sequence[int], top: int) -> Iterator[TokenScore]:
    """The score of each of `following`, which came after each position of `logits`, shape `[positions, vocabulary]`."""
    logs = torch.log_softmax(logits.float(), dim=-1)
    best = torch.topk(logs, max(1, min(top, logs.shape[-1])), dim=-1)
    chosen = logs[torch.arange(len(following)), torch.tensor(list(following), dtype=torch.long)].tolist()
    for place, logprob in enumerate(chosen):
        likeliest = zip(best.indices[place].tolist(), best.values[place].tolist(), strict=True)
        yield TokenScore(logprob, tuple(likeliest) if top else ())
