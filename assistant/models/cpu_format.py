"""In which number format the torch engine holds a model on a CPU where the user left that open: the quickest that fits.

4 bits are never taken unasked: what they cost in quality was measured only on weights that had come from 4 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from assistant.models import cpu_speed
from assistant.models.cpu_speed import CpuSpeed
from assistant.models.hardware import Hardware

ARCHITECTURES = frozenset({"gpt_bigcode", "starcoder2", "qwen2", "llama"})
"""Those that are held in 8 bits unasked: the torch engine computes them itself, and knows what becomes of each layer."""

SMALL = 64 << 20
"""Bytes of weights in 16 bits that stay in floats: a model of 49 MB took 8 ms a step in bfloat16 on one core (see the journal),
100 tokens a second and more than anyone reads, so that rounding would buy nothing that is seen."""

WORTH = 0.9
"""What 8 bits may take of the time that floats take; for less than that it is not worth rounding."""

RESERVE = 256 << 20
"""Bytes that the torch engine leaves to everything but weights."""

_SHOWN = {"float32": "fp32", "bfloat16": "bf16"}


@dataclass(frozen=True, slots=True)
class CpuFormat:
    """One of `cpu_speed.FORMATS`, and why, in words."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{shown(self.name)} ({self.why})"


def quickest(speed: CpuSpeed, sizes: Mapping[str, int], free: int) -> CpuFormat:
    """The format for a model whose weights take `sizes` bytes in float32, bfloat16 and int8, where `free` bytes are free.

    Without int8 in `sizes`, the quicker float.  Where nothing fits, the smallest: that is refused later, with numbers.
    """
    fitting = {name for name, size in sizes.items() if size <= free} or {min(sizes, key=lambda name: sizes[name])}
    floats = [name for name in sizes if name in fitting and name != "int8"]
    if not floats:
        return CpuFormat("int8", "bf16 does not fit into memory")
    best = min(floats, key=speed.reply)
    if "int8" not in sizes:
        return CpuFormat(best, "its architecture is not held in int8 unasked")
    if sizes["bfloat16"] <= SMALL:
        return CpuFormat(best, "small enough to be quick in floats")
    times = speed.reply(best) / speed.reply("int8")
    if "int8" in fitting and times * WORTH > 1:
        return CpuFormat("int8", f"measured {times:.1f} times as quick as {shown(best)}")
    return CpuFormat(best, "int8 was measured to gain little here")


def expected(parameters: int, threads: int | None, hardware: Hardware, *, known: bool = True) -> CpuFormat | None:
    """What is to be expected of a model, without opening it; None where nothing was measured with so many threads yet.

    known: whether its architecture is one of `ARCHITECTURES`.
    """
    speed = cpu_speed.kept(cpu_speed.engine_threads(threads, hardware.cores))
    sizes = {"float32": 4 * parameters, "bfloat16": 2 * parameters} | ({"int8": parameters} if known else {})
    return quickest(speed, sizes, hardware.free_memory - RESERVE) if speed else None


def shown(name: str) -> str:
    """The format's short name, as descriptions give it."""
    return _SHOWN.get(name, name)
