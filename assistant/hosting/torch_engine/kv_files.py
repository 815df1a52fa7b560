"""KV caches as safetensors files: ids as int32, keys and values of all layers as bytes of `[layers, 1, heads, n, size]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from assistant.hosting.torch_engine.kv import KV


def save(kv: KV, path: Path) -> int:
    """Write a reusable cache; how many tokens it holds.

    Raises:
        OSError: it cannot be written.
    """
    layers: list[Any] = kv.cache.layers
    with torch.inference_mode():
        keys, values = (torch.stack([layer.filled()[which] for layer in layers]).cpu() for which in (0, 1))
    ids = torch.tensor(kv.ids, dtype=torch.int32)
    try:
        # As bytes, which the format puts behind the ids whatever they mean.
        save_file({"ids": ids, "keys": keys.view(torch.uint8), "values": values.view(torch.uint8)}, path)
    except SafetensorError as error:
        raise OSError(str(error)) from error
    return len(kv.ids)


@dataclass(frozen=True, slots=True)
class Format:
    """What keys and values must be.  per_token: their bytes for one token in all layers."""

    dtype: torch.dtype
    device: torch.device
    per_token: int


def load(path: Path, ids: Sequence[int], into: KV, format_: Format) -> bool:
    """Fill the empty cache `into` from a file that must hold `ids`; False where it does not fit, and then nothing is filled."""
    try:
        tensors = load_file(path)
        keys, values = (tensors[name].view(format_.dtype) for name in ("keys", "values"))
    except (OSError, SafetensorError, KeyError, RuntimeError):
        return False
    layers: list[Any] = into.cache.layers
    fits = keys.shape == values.shape and keys.dim() == 5 and len(keys) == len(layers)
    if not fits or tensors["ids"].tolist() != list(ids) or keys.nbytes + values.nbytes != len(ids) * format_.per_token:
        return False
    with torch.inference_mode():
        for layer, key, value in zip(layers, keys, values, strict=True):
            layer.update(key.to(format_.device), value.to(format_.device))
    into.ids.extend(ids)
    return True
