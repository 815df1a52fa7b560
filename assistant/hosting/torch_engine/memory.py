"""Admission by arithmetic: what weights and KV caches take, and what is free.  All sizes are bytes."""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig

from assistant.errors import OutOfMemory
from assistant.hosting.torch_engine.quantization import bytes_of, held, smaller
from assistant.models import cpu_format, hardware
from assistant.models.spec import ModelSpec

# Left to activations, to the copy that concatenating a KV cache makes, and to everything else on the machine.
RESERVE = cpu_format.RESERVE


def free_bytes(device: torch.device) -> int:
    """What the device has free now: GPU memory, or main memory within the limits of a container."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return hardware.probe().free_memory


def kv_bytes_per_token(config: PreTrainedConfig, dtype: torch.dtype) -> int:
    """Keys and values of one token in all layers; 20,480 for StarChat's 40 layers with one KV head of 128 in bf16."""
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    kv_heads = 1 if getattr(config, "multi_query", False) else getattr(config, "num_key_value_heads", None) or heads
    return 2 * int(config.num_hidden_layers) * int(kv_heads) * int(size) * dtype.itemsize


def shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors, from the headers of the folder's safetensors files, which must have been checked.

    The files are not mapped, since mapping one that is larger than the memory fails.
    """
    found: dict[str, tuple[int, ...]] = {}
    for path in _weights(folder):
        with path.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        found |= {name: _shape(row) for name, row in header.items() if name != "__metadata__"}
    return found


def check_weights(
    spec: ModelSpec, tensors: Mapping[str, tuple[int, ...]], device: torch.device, dtype: torch.dtype, free: int
) -> None:
    """Refuse a model that cannot fit into `free` bytes, before anything of it is read.

    Raises:
        OutOfMemory: with both numbers, and the quantisation that would fit where one would.
    """
    needed = bytes_of(tensors, held(spec.quantization), dtype) + RESERVE
    if needed <= free:
        return
    ways = smaller(spec.quantization, device)
    fitting = [way for way in ways if bytes_of(tensors, held(way), dtype) + RESERVE <= free]
    remedy = f"Use --quantization {fitting[0]}." if fitting else "Choose a smaller model."
    raise OutOfMemory(f"{spec.name} needs {gigabytes(needed)} of memory and {gigabytes(free)} are free.", remedy)


@contextmanager
def told_as_out_of_memory(doing: str, free: int) -> Iterator[None]:
    """Turn torch's several ways to run out of memory into one error.

    doing: such as "A request of 512 tokens".  free: bytes that were free before it.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _is_shortage(error):
            raise
        raise OutOfMemory(
            f"{doing} ran out of memory; {gigabytes(free)} were free before.",
            "Close other programs, send a shorter conversation, or choose a smaller model or quantisation.",
        ) from error


def give_back() -> None:
    """Return what has been freed to the system.

    Weights are read in a thread of its own, whose freed memory glibc keeps: 2 GB of them, with a model of 0.5 B parameters.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def gigabytes(size: float) -> str:
    """A size for people: `30.9 GB`, or megabytes below one gigabyte."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _shape(row: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape of a weight; of one in 4 bits, two numbers lie in each byte."""
    *outer, last = row["shape"] or [1]
    return (*outer, last * 2 if row["dtype"] == "U8" else last)


def _weights(folder: Path) -> Iterable[Path]:
    """The files that transformers reads; others may hold the same weights in the form of another program."""
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return (whole,)
    if index.is_file():
        return {folder / name for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
    return folder.glob("*.safetensors")


def _is_shortage(error: RuntimeError) -> bool:
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(
        phrase in text for phrase in ("not enough memory", "can't allocate memory", "out of memory", "alloc_failed")
    )
