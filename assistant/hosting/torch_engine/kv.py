"""KV caches and their reuse: the computed beginnings of the last conversations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel

# More conversations than one person has open at once; tokens, not their number, are what costs memory.
_MOST = 4

# Layers whose cache may be a plain growing one.  Sliding windows are among them: the attention mask keeps to the window, while
# transformers' own sliding cache forgets what it slid past and can never be cut back.
_PLAIN = {"full_attention", "sliding_attention"}


@dataclass(eq=False, slots=True)
class KV:
    """A KV cache and the token ids that it holds, in order.  `reusable`: whether it can be cut to any length."""

    cache: DynamicCache
    ids: list[int] = field(default_factory=list)
    reusable: bool = True

    def feed(self, model: PreTrainedModel, ids: Sequence[int]) -> torch.Tensor:
        """Compute `ids` as the next tokens; the logits after the last of them, shape `[vocabulary]`.

        If this raises, the cache is of no further use.
        """
        reusable, self.reusable = self.reusable, False
        with torch.inference_mode():
            tokens = torch.tensor([list(ids)], device=model.device)
            output = model(input_ids=tokens, past_key_values=self.cache, use_cache=True, logits_to_keep=1)
        self.ids.extend(ids)
        self.reusable = reusable
        logits: torch.Tensor = output.logits[0, -1]
        return logits

    def shared(self, prompt: Sequence[int]) -> int:
        """How many tokens of `prompt`, from its beginning, this cache holds."""
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self.ids, prompt, strict=False)))

    def fork(self, length: int) -> KV:
        """A copy of the first `length` tokens."""
        cache = DynamicCache()
        with torch.inference_mode():
            layers: list[Any] = self.cache.layers
            for index, layer in enumerate(layers):
                cache.update(layer.keys[..., :length, :], layer.values[..., :length, :], index)
        return KV(cache, self.ids[:length])


def empty(config: PreTrainedConfig) -> KV:
    """A cache without tokens, of the kind that the model's layers need."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return KV(DynamicCache()) if kinds <= _PLAIN else KV(DynamicCache(config=config), reusable=False)


class Prefixes:
    """The caches of the last conversations, at most `capacity` tokens of them."""

    def __init__(self, config: PreTrainedConfig, capacity: int) -> None:
        self._config = config
        self._capacity = capacity
        self._kept: list[KV] = []

    def begin(self, prompt: Sequence[int]) -> KV:
        """The longest kept beginning of `prompt`; at least one token is left to compute, for its logits are needed."""
        best = max(self._kept, key=lambda kv: kv.shared(prompt), default=None)
        length = min(best.shared(prompt), len(prompt) - 1) if best else 0
        if best is None or length == 0:
            return empty(self._config)
        if length < len(best.ids):
            return best.fork(length)
        self._kept.remove(best)
        return best

    def keep(self, kv: KV) -> None:
        """Keep a cache for later requests, unless it is of no further use."""
        if kv.reusable and kv.ids:
            self._kept.append(kv)
            self.make_room(0)

    def make_room(self, tokens: int) -> None:
        """Forget the oldest conversations until `tokens` more fit."""
        while self._kept and (len(self._kept) > _MOST or self._tokens() + tokens > self._capacity):
            self._kept.pop(0)

    def clear(self) -> None:
        """Forget all of them."""
        self._kept.clear()

    def _tokens(self) -> int:
        return sum(len(kv.ids) for kv in self._kept)
