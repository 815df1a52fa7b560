"""The forward pass of a decoder, over the weights and modules of a transformers model but without its Python in between.

At batch 1 a step of a small model spends much of its time between the products.  Here queries, keys and values are one product,
and so are a gated layer's two; shared heads are not repeated, no mask is made for a single token, and only the rows whose
logits are wanted go through the end of the network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from transformers import Cache, PreTrainedModel

from assistant.hosting.torch_engine.attention import Attention, Heads, all_rows, row_by_row
from assistant.hosting.torch_engine.blocks import KernelBlock, block_of, head_of
from assistant.hosting.torch_engine.kv import BucketLayer
from assistant.hosting.torch_engine.parts import Map

Angles = tuple[torch.Tensor, torch.Tensor]


class Forward(Protocol):
    """Computes the next tokens of a sequence."""

    @property
    def device(self) -> torch.device: ...

    def __call__(self, ids: torch.Tensor, cache: Cache, rows: int) -> torch.Tensor:
        """Logits after the last `rows` of `ids` (shape `[tokens]`), shape `[rows, vocabulary]`; the cache grows by `ids`."""
        ...


@dataclass(frozen=True, slots=True)
class Transformers:
    """The model's own forward pass, for architectures that `layouts` does not know."""

    model: PreTrainedModel

    @property
    def device(self) -> torch.device:
        return self.model.device

    def __call__(self, ids: torch.Tensor, cache: Cache, rows: int) -> torch.Tensor:
        output = self.model(input_ids=ids[None], past_key_values=cache, use_cache=True, logits_to_keep=max(1, rows))
        logits: torch.Tensor = output.logits[0]
        return logits[len(logits) - rows :]


@dataclass(frozen=True, slots=True)
class Block:
    """One layer.

    qkv: to all queries, then keys, then values.  window: how many tokens its attention sees; None means all.  kernel: the same
    in C, where there is that.
    """

    norm: Map
    qkv: Map
    out: Map
    norm_mlp: Map
    mlp: Map
    window: int | None
    kernel: KernelBlock | None = None


@dataclass(frozen=True, slots=True)
class _Pass:
    """What all layers of one forward pass share.  single: whether rows are attended one by one."""

    single: bool
    attend: Attention
    angles: Angles | None


@dataclass(frozen=True, slots=True)
class Network:
    """A decoder.

    embed: ids and positions to vectors.  angles: cosines and sines of the rotary embedding `[tokens, 1, size]`, the first half
    of the sines negated; None where positions are learned.  alone: whether several rows are attended one by one, so that they
    are what single steps give to the last bit; for products of which that is true as well.  end: norm and head in C.
    """

    embed: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    angles: Callable[[torch.Tensor, torch.Tensor], Angles] | None
    blocks: tuple[Block, ...]
    norm: Map
    head: Map
    heads: Heads
    device: torch.device
    alone: bool
    end: Map | None = None

    def __call__(self, ids: torch.Tensor, cache: Cache, rows: int) -> torch.Tensor:
        """See `Forward`."""
        layers: list[Any] = cache.layers
        past = layers[0].length
        positions = torch.arange(past, past + len(ids), device=self.device)
        x = self.embed(ids, positions)
        verifying = rows == len(ids)
        single = len(ids) == 1 or (self.alone and verifying)
        attend = row_by_row(self.heads) if single else all_rows(self.heads, x)
        shared = _Pass(single, attend, self.angles(x, positions) if self.angles else None)
        for block, layer in zip(self.blocks, layers, strict=True):
            wanted = rows if block is self.blocks[-1] else len(ids)
            x = (_in_kernel if block.kernel else self._through)(block, x, layer, shared, wanted)
        return self.end(x) if self.end else self.head(self.norm(x))

    def with_kernel(self) -> Network:
        """The same with all layers in C that the kernel can compute."""
        blocks = (
            replace(
                block,
                kernel=block_of((block.norm, block.norm_mlp), (block.qkv, block.out), block.mlp, self.heads, block.window),
            )
            for block in self.blocks
        )
        return replace(self, blocks=tuple(blocks), end=head_of(self.norm, self.head))

    def _through(self, block: Block, x: torch.Tensor, layer: BucketLayer, shared: _Pass, wanted: int) -> torch.Tensor:
        """The last `wanted` rows of what comes after a layer."""
        heads = self.heads
        projected = block.qkv(block.norm(x)).view(len(x), -1, heads.size)
        turned = projected[:, : heads.query + heads.shared]
        if shared.angles:
            cosines, sines = shared.angles
            turned = torch.addcmul(turned * cosines, turned.roll(heads.size // 2, -1), sines)
        keys, values = turned[:, heads.query :], projected[:, heads.query + heads.shared :]
        layer.update(keys.transpose(0, 1)[None], values.transpose(0, 1)[None])
        if wanted == 0:
            return x[:0]
        first = len(x) - wanted
        x = x[first:] + block.out(shared.attend(turned[first:, : heads.query], layer, block.window))
        return x + block.mlp(block.norm_mlp(x))


def _in_kernel(block: Block, x: torch.Tensor, layer: BucketLayer, shared: _Pass, wanted: int) -> torch.Tensor:
    """The last `wanted` rows of what comes after a layer; `x` is overwritten."""
    kernel = block.kernel
    assert kernel is not None
    queries = kernel.project(x, shared.angles, layer)
    if wanted == 0:
        return x[:0]
    first = len(x) - wanted
    x, queries = x[first:], queries[first:]
    return kernel.finish(x, kernel.attend(queries, layer, single=shared.single))
