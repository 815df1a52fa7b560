"""KV caches that are allocated ahead, can be cut to any length and copied from any beginning.

Buffers come in a few sizes (`bucket`), so that a step writes its keys and values in place instead of copying all that came
before, and so that what a request takes is known before it starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import torch
from transformers import Cache, DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer

from assistant.hosting.torch_engine import pages

if TYPE_CHECKING:
    from assistant.hosting.torch_engine.network import Forward

SMALLEST = 256

# Layers whose cache may be a plain one.  Sliding windows are among them: the attention mask keeps to the window, while
# transformers' own sliding cache forgets what it slid past and can never be cut back.
_PLAIN = {"full_attention", "sliding_attention"}


def bucket(length: int, most: int) -> int:
    """The capacity of a cache for `length` tokens: a power of two or one and a half of it, at least 256, at most `most`."""
    size = SMALLEST
    while size < length:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return max(length, min(size, most))


class BucketLayer(DynamicLayer):
    """Keys and values of one layer: buffers `[1, heads, capacity, size]`, of which the first `length` tokens are filled."""

    def __init__(self, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # transformers leaves it so
        self.most = most
        self.length = 0

    @property
    def capacity(self) -> int:
        return 0 if self.keys is None else int(self.keys.shape[-2])

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: object, **_options: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append some tokens' keys and values; all that are filled then, as views."""
        start = self.length
        keys, values = self.claimed(key_states, key_states.shape)
        keys[..., start : self.length, :] = key_states
        values[..., start : self.length, :] = value_states
        return self.filled()

    def claimed(self, like: torch.Tensor, shape: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Both buffers, of the format and device of `like`, with room for keys and values of `shape`, which count as filled."""
        end = self.length + shape[-2]
        if end > self.capacity:
            self.keys, self.values = (self._grown(old, like, shape, end) for old in (self.keys, self.values))
        assert self.keys is not None
        assert self.values is not None
        self.length, self.is_initialized = end, True
        return self.keys, self.values

    def filled(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the tokens that are there."""
        assert self.keys is not None
        assert self.values is not None
        return self.keys[..., : self.length, :], self.values[..., : self.length, :]

    def get_seq_length(self) -> int:
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def crop(self, max_length: int) -> None:
        """Forget all tokens after the first `max_length`."""
        self.length = min(self.length, max_length)

    def _grown(self, old: torch.Tensor | None, like: torch.Tensor, shape: Sequence[int], end: int) -> torch.Tensor:
        batch, heads, _, size = shape
        grown = pages.buffer(like, (batch, heads, bucket(end, self.most), size))
        if old is not None:
            grown[..., : self.length, :] = old[..., : self.length, :]
        return grown


@dataclass(eq=False, slots=True)
class KV:
    """A KV cache and the token ids that it holds, in order.

    reusable: whether it can be cut to any length.  era: of the store, when the request began that it was last used for.
    """

    cache: Cache
    ids: list[int] = field(default_factory=list)
    reusable: bool = True
    era: str = ""

    def feed(self, forward: Forward, ids: Sequence[int], rows: int = 1) -> torch.Tensor:
        """Compute `ids` as the next tokens; the logits after the last `rows` of them, shape `[rows, vocabulary]`.

        If this raises, the cache is of no further use.
        """
        reusable, self.reusable = self.reusable, False
        with torch.inference_mode():
            logits = forward(torch.tensor(list(ids), device=forward.device), self.cache, rows)
        self.ids.extend(ids)
        self.reusable = reusable
        return logits

    def crop(self, length: int) -> None:
        """Forget all tokens after the first `length`; the cache must be reusable."""
        for layer in _layers(self.cache):
            layer.crop(length)
        del self.ids[length:]

    def shared(self, prompt: Sequence[int]) -> int:
        """How many tokens of `prompt`, from its beginning, this cache holds."""
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self.ids, prompt, strict=False)))

    def fork(self, length: int) -> KV:
        """A copy of the first `length` tokens; the cache must be reusable."""
        layers = []
        with torch.inference_mode():
            for layer in _layers(self.cache):
                keys, values = layer.filled()
                copy = BucketLayer(layer.most)
                copy.update(keys[..., :length, :], values[..., :length, :])
                layers.append(copy)
        return KV(Cache(layers=list(layers)), self.ids[:length])

    @property
    def bytes(self) -> int:
        """The memory of its buffers."""
        tensors = (getattr(layer, name, None) for layer in self.cache.layers for name in ("keys", "values"))
        return sum(tensor.nbytes for tensor in tensors if isinstance(tensor, torch.Tensor))


def empty(config: PreTrainedConfig, most: int) -> KV:
    """A cache without tokens, of the kind that the model's layers need, for up to `most` tokens."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if not kinds <= _PLAIN:
        return KV(DynamicCache(config=config), reusable=False)
    layers: list[Any] = [BucketLayer(most) for _ in range(config.num_hidden_layers)]
    return KV(Cache(layers=layers))


def _layers(cache: Cache) -> list[BucketLayer]:
    layers: list[Any] = cache.layers
    return layers
