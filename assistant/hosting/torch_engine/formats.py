"""A spec that leaves open how its weights are held, settled: by what this CPU was measured to be quickest in, and what fits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from assistant.hosting.torch_engine.probe import speed_of_cpu
from assistant.hosting.torch_engine.quantization import bytes_of
from assistant.models.cpu_format import ARCHITECTURES, RESERVE, quickest
from assistant.models.spec import ModelSpec

_FLOATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def settled(
    spec: ModelSpec, tensors: Mapping[str, tuple[int, ...]], device: torch.device, threads: int, free: int
) -> tuple[ModelSpec, str]:
    """`spec` with a quantization and a dtype that name one format, and why, in words; unchanged where it names one already.

    tensors: names and shapes of the weights.  free: bytes that are free on the device.
    """
    if spec.quantization != "auto":
        return spec, ""
    if device.type != "cpu" or spec.dtype != "auto":
        return replace(spec, quantization="none"), ""
    found = quickest(speed_of_cpu(threads), _sizes(spec.path, tensors), free - RESERVE)
    if found.name == "int8":
        return replace(spec, quantization="int8"), found.why
    return replace(spec, quantization="none", dtype="float32" if found.name == "float32" else "bfloat16"), found.why


def _sizes(folder: Path, tensors: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    sizes = {name: bytes_of(tensors, "none", dtype) for name, dtype in _FLOATS.items()}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") in ARCHITECTURES:
        sizes["int8"] = bytes_of(tensors, "int8", torch.float32)
    return sizes
