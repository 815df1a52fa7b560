"""Which device and number format a model runs in, and with how many threads."""

from __future__ import annotations

import torch

from assistant.errors import ModelError
from assistant.hosting.torch_engine.probe import speed_of_cpu
from assistant.hosting.torch_engine.quantization import OURS
from assistant.models import cpu_speed, hardware
from assistant.models.spec import ModelSpec


def choose(wanted: str) -> torch.device:
    """The device called `wanted`; `auto` is the first GPU, else Apple's, else the CPU.

    Raises:
        ModelError: no such device can be used here; the remedy says why.
    """
    if wanted == "auto":
        return _best()
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ModelError(f"{wanted!r} is not the name of a device.", "Use auto, cpu, cuda, cuda:1 or mps.") from error
    if device.type == "cuda":
        return _cuda(device)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ModelError("This machine has no Metal device that torch can use.", "Use --device cpu.")
    return device


def dtype_of(spec: ModelSpec, device: torch.device, threads: int) -> torch.dtype:
    """The format of what is not quantised: what the spec says, else bfloat16 on a GPU and the quicker float on a CPU.

    Raises:
        ModelError: the format is unknown, or does not go with the quantisation or the device.
    """
    formats = {"bfloat16": torch.bfloat16, "float32": torch.float32}
    if spec.dtype not in ("auto", *formats):
        raise ModelError(f"The number format {spec.dtype!r} is unknown.", f"Use one of auto, {', '.join(formats)}.")
    if spec.quantization in OURS:
        return _beside_integers(spec, device, threads)
    if spec.dtype == "auto":
        return formats[speed_of_cpu(threads).fastest_float if device.type == "cpu" else "bfloat16"]
    return formats[spec.dtype]


def use_threads(wanted: int | None) -> int:
    """Set torch's threads; see `cpu_speed.engine_threads`."""
    threads = cpu_speed.engine_threads(wanted, hardware.probe().cores)
    torch.set_num_threads(threads)
    return threads


def _beside_integers(spec: ModelSpec, device: torch.device, threads: int) -> torch.dtype:
    if device.type != "cpu":
        raise ModelError(
            f"The quantisation {spec.quantization} is made for CPUs and does not run on {device}.",
            f"Use --quantization {'bnb-8bit' if spec.quantization == 'int8' else 'bnb-4bit'}, or --device cpu.",
        )
    if spec.dtype == "bfloat16":
        raise ModelError(
            f"The quantisation {spec.quantization} computes the rest in float32.",
            "Leave --dtype out, or use --dtype float32.",
        )
    speed_of_cpu(threads)  # for whoever asks whether it was worth it
    return torch.float32


def _best() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _cuda(device: torch.device) -> torch.device:
    if torch.version.cuda is None and getattr(torch.version, "hip", None) is None:
        raise ModelError(
            "The installed torch was built for the CPU only.",
            "Install a CUDA build of torch (pip install --force-reinstall torch), or use --device cpu.",
        )
    if not torch.cuda.is_available():
        raise ModelError(
            f"torch (CUDA {torch.version.cuda}) finds no usable GPU.",
            "Check that nvidia-smi works and that the driver supports this CUDA version, or use --device cpu.",
        )
    index = device.index or 0
    if index >= torch.cuda.device_count():
        raise ModelError(f"There is no GPU number {index}; {torch.cuda.device_count()} can be used.", "Use --device cuda:0.")
    return torch.device("cuda", index)
