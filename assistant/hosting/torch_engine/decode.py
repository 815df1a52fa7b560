"""Prefill in chunks, then one token after another, with a way to stop in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from transformers import PreTrainedModel

from assistant.hosting.engine import EngineRequest
from assistant.hosting.torch_engine.kv import KV
from assistant.hosting.torch_engine.sampling import picker
from assistant.wire import FinishReason


def generate(
    model: PreTrainedModel, kv: KV, request: EngineRequest, cancelled: Callable[[], bool], chunk: int
) -> Iterator[int | FinishReason]:
    """Token ids, then the reason of the end.

    `kv` holds a proper beginning of the prompt and grows by all that is computed; the last token of a reply is not fed.
    `chunk`: prompt tokens computed at a time, between which `cancelled` is asked.
    """
    pick = picker(request.sampling)
    logits = _prefill(model, kv, request.prompt[len(kv.ids) :], cancelled, chunk)
    for left in range(request.max_tokens, 0, -1):
        if logits is None or cancelled():
            yield "cancelled"
            return
        token = pick(logits)
        if token in request.stop_ids:
            yield "stop"
            return
        yield token
        logits = kv.feed(model, (token,)) if left > 1 and not cancelled() else None
    yield "length"


def _prefill(
    model: PreTrainedModel, kv: KV, ids: Sequence[int], cancelled: Callable[[], bool], chunk: int
) -> torch.Tensor | None:
    """The logits after the last of `ids`, or None if it was cancelled before."""
    logits = None
    for start in range(0, len(ids), chunk):
        if cancelled():
            return None
        logits = kv.feed(model, ids[start : start + chunk])
    return logits
