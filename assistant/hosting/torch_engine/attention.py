"""Attention over a cache that holds each key and value head once, however many query heads share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch.nn.functional import scaled_dot_product_attention

from assistant.hosting.torch_engine.kv import BucketLayer


@dataclass(frozen=True, slots=True)
class Heads:
    """Heads of queries, heads of keys and values that they share (one with multi-query attention), and the numbers of each.

    scale: what a product of query and key is multiplied by.
    """

    query: int
    shared: int
    size: int
    scale: float

    @property
    def group(self) -> int:
        """Query heads to a head of keys."""
        return self.query // self.shared


Attention = Callable[[torch.Tensor, BucketLayer, int | None], torch.Tensor]
"""Queries `[rows, query heads, size]` of the last tokens in a layer's cache, and its sliding window, to `[rows, all heads]`."""


def row_by_row(heads: Heads) -> Attention:
    """Each row as if it were computed alone, to the last bit, so that a token does not depend on what is drafted beside it."""

    def attend(queries: torch.Tensor, layer: BucketLayer, window: int | None) -> torch.Tensor:
        keys, values = layer.filled()
        before = layer.length - len(queries)
        grouped = queries.reshape(len(queries), 1, heads.shared, heads.group, heads.size)
        rows = []
        for row, query in enumerate(grouped):
            seen = slice(max(0, before + row + 1 - (window or layer.length)), before + row + 1)
            rows.append(scaled_dot_product_attention(query, keys[..., seen, :], values[..., seen, :], scale=heads.scale))
        return (rows[0] if len(rows) == 1 else torch.cat(rows)).reshape(len(queries), -1)

    return attend


def all_rows(heads: Heads, like: torch.Tensor) -> Attention:
    """All rows in one product, with masks of the format and device of `like` that the layers of one pass share."""

    @cache
    def mask(rows: int, first: int, end: int, window: int | None) -> torch.Tensor:
        queries = torch.arange(end - rows, end, device=like.device)[:, None]
        keys = torch.arange(first, end, device=like.device)
        hidden = keys > queries
        if window:
            hidden |= keys <= queries - window
        return like.new_zeros(hidden.shape).masked_fill_(hidden, -torch.inf).repeat_interleave(heads.group, 0)

    def attend(queries: torch.Tensor, layer: BucketLayer, window: int | None) -> torch.Tensor:
        rows, end = len(queries), layer.length
        first = max(0, end - rows + 1 - window) if window else 0
        keys, values = (held[..., first:, :] for held in layer.filled())
        grouped = queries.reshape(rows, heads.shared, heads.group, heads.size).transpose(0, 1)
        grouped = grouped.reshape(1, heads.shared, rows * heads.group, heads.size)
        out = scaled_dot_product_attention(grouped, keys, values, mask(rows, first, end, window), scale=heads.scale)
        return out.reshape(heads.shared, rows, -1).transpose(0, 1).reshape(rows, -1)

    return attend
