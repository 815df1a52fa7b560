"""Memory in large pages, side by side: with those of 4 KiB a reading of all weights takes half as long again on Linux.

The processor foresees what is read next only within a page, and looks up where each of them lies.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_LARGE = 2 << 20
_ONE_AFTER_ANOTHER = 64 << 20  # bytes that are asked for at a time; what is not used of them takes no memory
_MADV_HUGEPAGE = 14
_ALIGNMENT = 64

_free: ContextVar[list[torch.Tensor] | None] = ContextVar("free", default=None)


@contextmanager
def large() -> Iterator[None]:
    """Let `empty` give memory in large pages meanwhile, where the system has them."""
    token = _free.set([torch.empty(0, dtype=torch.uint8)])
    try:
        yield
    finally:
        _free.reset(token)


def empty(size: int) -> torch.Tensor:
    """So many bytes, which begin at a multiple of 64."""
    free = _free.get()
    if free is None:
        return torch.empty(size, dtype=torch.uint8)
    if len(free[0]) < size:
        free[0] = _asked_for(max(size, _ONE_AFTER_ANOTHER))
    given, free[0] = free[0][:size], free[0][-(-size // _ALIGNMENT) * _ALIGNMENT :]
    return given


def buffer(like: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """A tensor of the format and device of `like`, in large pages of its own where it fills some."""
    size = torch.Size(shape).numel() * like.element_size()
    if like.device.type != "cpu" or size < _LARGE:
        return like.new_empty(shape)
    return _asked_for(size)[:size].view(like.dtype).view(shape)


def _asked_for(size: int) -> torch.Tensor:
    size = -(-size // _LARGE) * _LARGE
    whole = torch.empty(size + _LARGE, dtype=torch.uint8)
    begin = -whole.data_ptr() % _LARGE
    if sys.platform == "linux":
        ctypes.CDLL(None).madvise(ctypes.c_void_p(whole.data_ptr() + begin), ctypes.c_size_t(size), _MADV_HUGEPAGE)
    return whole[begin : begin + size]
