"""Multi-query attention on a CPU, dialogue by dialogue: the heads of 64 tokens are the rows of one product.

Torch's kernel for CPUs goes head by head, in small products, and computes the weights a second time in its backward pass.
Where all heads share one key and one value, forward and backward pass together take two thirds of its time for 1,024 tokens and
three quarters for 256, at the price of keeping the weights in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_AT_ONCE = 64  # tokens
_LONG_ENOUGH = 160  # tokens of a dialogue, in the mean over tokens
_MOST_KEPT = 64 << 20  # bytes of weights


def suits(query: Tensor, key: Tensor, dropout: float, lengths: Sequence[int]) -> bool:
    """Whether `attend` can compute this, and is the quicker way: one key head, as StarCoder has it, float32, no dropout,
    dialogues long enough to fill products, and weights in bounds.

    query, key: (tokens, heads, size).
    """
    heads, pairs = query.shape[1], sum(length**2 for length in lengths)
    able = key.shape[1] == 1 < heads and query.dtype == torch.float32 and not dropout
    return able and pairs >= _LONG_ENOUGH * len(query) and 2 * heads * pairs <= _MOST_KEPT


def attend(query: Tensor, key: Tensor, value: Tensor, lengths: Sequence[int], scale: float | None) -> Tensor:
    """Causal attention inside each dialogue: (tokens, heads, size).

    query: (tokens, heads, size).  key, value: (tokens, 1, size).  lengths: tokens of each dialogue, in their order.
    scale: of the products of queries and keys; None is 1 over the root of their size.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    heads_as_rows = (query * scale).flatten(0, 1)
    rows: Tensor = _MultiQuery.apply(heads_as_rows, key[:, 0], value[:, 0], lengths)  # type: ignore[no-untyped-call]  # of torch
    return rows.view(query.shape)


class _MultiQuery(torch.autograd.Function):
    """Query: (tokens x heads, size), a token's heads side by side.  Key and value: (tokens, size)."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, lengths: Sequence[int]) -> Tensor:  # noqa: ANN401 - of torch
        heads = len(query) // len(key)
        key, value = key.contiguous(), value.contiguous()
        out, kept = torch.empty_like(query), []
        for rows, seen in _parts(lengths, heads):
            weights = torch.mm(query[rows], key[seen].T)
            last = weights[:, -((rows.stop - rows.start) // heads) :]
            last.add_(_later(heads)[: len(last), : last.shape[1]])
            torch.softmax(weights, 1, out=weights)
            torch.mm(weights, value[seen], out=out[rows])
            kept.append(weights)
        ctx.save_for_backward(query, key, value, out, *kept)
        ctx.lengths = lengths
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # noqa: ANN401 - of torch
        query, key, value, out, *kept = ctx.saved_tensors
        grad = grad.contiguous()
        drift = (grad * out).sum(1, keepdim=True)
        of_query = torch.empty_like(query)
        of_key, of_value = key.new_zeros(key.T.shape), value.new_zeros(value.T.shape)
        for (rows, seen), weights in zip(_parts(ctx.lengths, len(query) // len(key)), kept, strict=True):
            of_value[:, seen].addmm_(grad[rows].T, weights)
            slope = torch.mm(grad[rows], value[seen].T).sub_(drift[rows]).mul_(weights)
            of_key[:, seen].addmm_(query[rows].T, slope)
            torch.mm(slope, key[seen], out=of_query[rows])
        return of_query, of_key.T, of_value.T, None


def _parts(lengths: Sequence[int], heads: int) -> Iterator[tuple[slice, slice]]:
    """Queries that are computed at once, and the keys that they see, the last of which are their own."""
    start = 0
    for length in lengths:
        for first in range(start, start + length, _AT_ONCE):
            last = min(first + _AT_ONCE, start + length)
            yield slice(first * heads, last * heads), slice(start, last)
        start += length


@lru_cache(maxsize=4)
def _later(heads: int) -> Tensor:
    """Minus infinity where a key comes after the query: (tokens x heads, tokens)."""
    return torch.full((_AT_ONCE, _AT_ONCE), float("-inf")).triu(1).repeat_interleave(heads, 0)
