"""How weights are held: as they are, in 8 or 4 bits of our own on a CPU, or in 8 or 4 bits through bitsandbytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from transformers import BitsAndBytesConfig
from transformers.utils.quantization_config import QuantizationConfigMixin

from assistant.hosting.torch_engine import int4, kernel
from assistant.hosting.torch_engine.quantizer import Int4Config, Int8Config
from assistant.settings import Quantization

# NF4 keeps one fp32 scale for each block of 64 weights (Dettmers et al. 2023), without double quantisation.
BYTES: Mapping[str, float] = {"int8": 1.0, "int4": int4.BITS / 8, "bnb-8bit": 1.0, "bnb-4bit": 0.5 + 4 / 64}

OURS: Mapping[str, Callable[[], QuantizationConfigMixin]] = {"int8": Int8Config, "int4": Int4Config}
"""Those of ours, which compute the rest in float32."""

_BESIDE = {"embed": 2, "wte": 2, "lm_head": 1}  # bytes of a number

_SMALLER: Mapping[Quantization, tuple[Quantization, ...]] = {"none": ("int8", "int4"), "int8": ("int4",)}
_SMALLER_ON_A_GPU: Mapping[Quantization, tuple[Quantization, ...]] = {
    "none": ("bnb-8bit", "bnb-4bit"),
    "bnb-8bit": ("bnb-4bit",),
}


def smaller(quantization: Quantization, device: torch.device) -> tuple[Quantization, ...]:
    """The ways to hold weights there that take less memory, the one that takes most of it first."""
    return (_SMALLER if device.type == "cpu" else _SMALLER_ON_A_GPU).get(quantization, ())


def held(quantization: Quantization) -> Quantization:
    """How weights are held here: without the kernel, the numbers of 4 bits take 8."""
    return "int8" if quantization == "int4" and not kernel.available() else quantization


def config_of(quantization: Quantization, dtype: torch.dtype) -> QuantizationConfigMixin | None:
    """What transformers needs to quantise while loading; None where weights stay as they are."""
    if quantization in OURS:
        return OURS[quantization]()
    if quantization == "bnb-8bit":
        return BitsAndBytesConfig(load_in_8bit=True)  # type: ignore[no-untyped-call]  # transformers leaves it so
    if quantization == "bnb-4bit":
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)  # type: ignore[no-untyped-call]
    return None


def bytes_of(shapes: Mapping[str, tuple[int, ...]], quantization: Quantization, dtype: torch.dtype) -> int:
    """Memory that tensors of these names and shapes take.

    bitsandbytes leaves embeddings and head as they are; ours hold embeddings in bfloat16, and the head in 8 bits even where it
    shares the embedding's weight.
    """
    total = 0.0
    for name, shape in shapes.items():
        kind = next((kind for kind in ("embed", "wte", "wpe", "lm_head") if kind in name), "")
        each: float = dtype.itemsize
        if len(shape) == 2 and not kind:
            each = BYTES.get(quantization, each)
        elif quantization in OURS:
            each = _BESIDE.get(kind, each)
            if kind in ("embed", "wte") and not any("lm_head" in other for other in shapes):
                each += _BESIDE["lm_head"]
        total += torch.Size(shape).numel() * each
    return int(total)
