"""Which number format this CPU is quickest in, found out by a tenth of a second of work."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.nn.functional import linear

from assistant.hosting.torch_engine import int4, int8, kernel, pages
from assistant.models import cpu_speed
from assistant.models.cpu_speed import CpuSpeed

# Weights of 2 M numbers, several of them, so that they come from memory as those of a model do.
_SHAPE, _COPIES = (1024, 2048), 8


def speed_of_cpu(threads: int) -> CpuSpeed:
    """The measurement for this machine with so many threads, made now where none was kept."""
    found = cpu_speed.kept(threads)
    if found is None:
        found = _measure(threads)
        cpu_speed.keep(found)
    return found


def _measure(threads: int) -> CpuSpeed:
    step, batch = {}, {}
    if found := kernel.library() if kernel.usable() else None:
        found.use_threads(threads)
    with torch.inference_mode(), pages.large():
        weights = [torch.randn(_SHAPE) / 50 for _ in range(_COPIES)]
        for name, product in _products(weights).items():
            step[name] = _milliseconds(product, torch.randn(1, _SHAPE[1]))
            batch[name] = _milliseconds(product, torch.randn(64, _SHAPE[1]))
    return CpuSpeed(cpu_speed.machine(threads), step, batch)


def _products(weights: list[torch.Tensor]) -> dict[str, Callable[[int, torch.Tensor], torch.Tensor]]:
    halves = [weight.bfloat16() for weight in weights]
    eighths = [int8.joined_int8([int8.of_weight(weight, None)]) for weight in weights]
    quarters = [int4.joined_int4([int4.of_weight(weight, None)]) for weight in weights]
    return {
        "float32": lambda number, x: linear(x, weights[number]),
        "bfloat16": lambda number, x: linear(x.bfloat16(), halves[number]),
        "int8": lambda number, x: eighths[number](x),
        "int4": lambda number, x: quarters[number](x),
    }


def _milliseconds(product: Callable[[int, torch.Tensor], torch.Tensor], x: torch.Tensor) -> float:
    """The quickest of several rounds over all weights, since other programs only ever make it slower."""
    rounds = []
    for _ in range(4):
        begun = time.perf_counter()
        for number in range(_COPIES):
            product(number, x)
        rounds.append((time.perf_counter() - begun) * 1000)
    return min(rounds)
