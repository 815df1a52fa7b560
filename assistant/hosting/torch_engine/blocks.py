"""The layers of a decoder computed by the kernel: three calls for each, where all of its products are the kernel's.

What is between products took 7 of 32 ms of a step, in some 700 calls of torch.  Rows are computed one by one, so that several
are to the last bit what single steps give.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from assistant.hosting.torch_engine.attention import Heads
from assistant.hosting.torch_engine.kernel import KernelLinear, enough
from assistant.hosting.torch_engine.kv import BucketLayer
from assistant.hosting.torch_engine.parts import LayerNorm, Map, Perceptron, RootMeanSquare


class _Norm(ctypes.Structure):
    _fields_ = (
        ("weight", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("epsilon", ctypes.c_float),
        ("centred", ctypes.c_int32),
    )


class _Block(ctypes.Structure):
    _fields_ = (
        ("before", _Norm),
        ("between", _Norm),
        *((name, ctypes.c_void_p) for name in ("qkv", "out", "up", "down")),
        *((name, ctypes.c_int64) for name in ("gated", "heads", "shared", "size", "window")),
        ("scale", ctypes.c_float),
    )


@dataclass(frozen=True, slots=True)
class KernelBlock:
    """A layer.  `x` is `[rows, width]` in float32, dense, and overwritten by `finish`."""

    library: ctypes.CDLL
    where: int
    heads: Heads
    _held: object = field(repr=False)

    def project(self, x: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor] | None, layer: BucketLayer) -> torch.Tensor:
        """Queries `[rows, query heads, size]`; keys and values are appended to the cache."""
        rows, start, heads = len(x), layer.length, self.heads
        queries = x.new_empty(rows, heads.query, heads.size)
        keys, values = layer.claimed(x, (1, heads.shared, rows, heads.size))
        cosines, sines = (part.data_ptr() for part in angles) if angles else (None, None)
        into = (queries.data_ptr(), keys.data_ptr(), values.data_ptr(), layer.capacity, start)
        enough(self.library.block_project(self.where, rows, x.data_ptr(), cosines, sines, *into))
        return queries

    def attend(self, queries: torch.Tensor, layer: BucketLayer, *, single: bool) -> torch.Tensor:
        """Attention of the last rows of the cache: `[rows, all heads]`.  single: one by one, as if each were alone."""
        rows, out = len(queries), torch.empty_like(queries)
        attend = self.library.block_attend if single else self.library.block_attend_all
        keys, values = layer.filled()
        cached = (keys.data_ptr(), values.data_ptr(), layer.capacity, layer.length - rows)
        enough(attend(self.where, rows, queries.data_ptr(), *cached, out.data_ptr()))
        return out.view(rows, -1)

    def finish(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """`x` after the layer."""
        enough(self.library.block_finish(self.where, len(x), attended.data_ptr(), x.data_ptr()))
        return x


@dataclass(frozen=True, slots=True)
class KernelHead:
    """The last norm and the head: `[rows, width]` to `[rows, vocabulary]`."""

    library: ctypes.CDLL
    where: int
    outputs: int
    _held: object = field(repr=False)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        out = x.new_empty(len(x), self.outputs)
        enough(self.library.block_head(self.where, len(x), x.data_ptr(), out.data_ptr()))
        return out


def block_of(norms: Sequence[Map], products: Sequence[Map], mlp: Map, heads: Heads, window: int | None) -> KernelBlock | None:
    """The layer of two norms, the products before and after attention, and the perceptron; None where it cannot be had."""
    if not isinstance(mlp, Perceptron) or mlp.name != ("silu" if mlp.gated else "gelu_pytorch_tanh"):
        return None
    layers, known = _layers((*products, mlp.up, mlp.down)), [found for norm in norms if (found := _norm(norm))]
    if layers is None or len(known) < len(norms):
        return None
    shape = (int(mlp.gated), heads.query, heads.shared, heads.size, window or 0, heads.scale)
    block = _Block(*known, *(layer.where for layer in layers), *shape)
    return KernelBlock(layers[0].library, ctypes.addressof(block), heads, (block, layers, norms))


def head_of(norm: Map, head: Map) -> KernelHead | None:
    """The end of the network; None where it is not the kernel's."""
    layers, known = _layers((head,)), _norm(norm)
    if layers is None or known is None:
        return None
    block = _Block(before=known, out=layers[0].where)
    return KernelHead(layers[0].library, ctypes.addressof(block), layers[0].outputs, (block, layers, norm))


def _layers(products: Sequence[Map]) -> list[KernelLinear] | None:
    found = [product for product in products if isinstance(product, KernelLinear)]
    return found if len(found) == len(products) else None


def _norm(norm: Map) -> _Norm | None:
    if not isinstance(norm, LayerNorm | RootMeanSquare) or norm.weight.dtype != torch.float32:
        return None
    bias = norm.bias if isinstance(norm, LayerNorm) else None
    return _Norm(
        norm.weight.data_ptr(), None if bias is None else bias.data_ptr(), norm.epsilon, int(isinstance(norm, LayerNorm))
    )
