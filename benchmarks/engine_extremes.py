"""What is measured of our torch engine alone: cancels, a long context, loading."""

from __future__ import annotations

import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

from assistant.hosting.engine import EngineRequest
from assistant.models.spec import ModelSpec
from benchmarks.engine_contestants import clock


def cancel_delays(loaded: Any, *, decoding: bool, rounds: int = 8) -> list[float]:
    """Milliseconds from a cancel, at another moment in each round, to the end of the stream."""
    from assistant.hosting.torch_engine.engine import TorchEngine

    engine, delays = TorchEngine(loaded), []
    for number in range(rounds):
        prompt = tuple(1000 + number * 50 + place % 40 for place in range(20 if decoding else 600))
        deadline: list[float] = [] if decoding else [time.perf_counter() + 0.3 + 0.1 * number]
        for count, _ in enumerate(engine.stream(EngineRequest(prompt, 64, frozenset()), partial(_past, deadline))):
            if decoding and count == 4 and not deadline:
                deadline.append(time.perf_counter() + 0.01 * number)
        delays.append((time.perf_counter() - deadline[0]) * 1000)
    return delays


def long_context_ratio(loaded: Any, long: int = 8000, short: int = 64, rounds: int = 12) -> list[float]:
    """A step after `long` tokens over one after `short`, turn about; the keys and values are random, which takes as long."""
    import torch

    from assistant.hosting.torch_engine.kv import empty

    config, caches = loaded.config, {}
    heads, size = config.num_key_value_heads, config.hidden_size // config.num_attention_heads
    for length in (long, short):
        caches[length] = empty(config, long + 1024)
        for layer in range(config.num_hidden_layers):
            caches[length].cache.update(torch.randn(1, heads, length, size), torch.randn(1, heads, length, size), layer)
        caches[length].ids.extend([100] * length)
    took: dict[int, list[float]] = {long: [], short: []}
    for _ in range(rounds):
        for length, kv in caches.items():
            began = clock()
            kv.feed(loaded.forward, [200])
            took[length].append(clock() - began)
    return [one / statistics.median(took[short]) for one in took[long]]


def load_seconds(spec: ModelSpec) -> tuple[float, float]:
    """Seconds to read the weights' file, and to load the model in 8 bits; the file is in the page cache for both."""
    from dataclasses import replace

    from assistant.hosting.torch_engine.loading import load

    reading = min(_read(spec.path / "model.safetensors") for _ in range(3))
    began = clock()
    load(replace(spec, quantization="int8", dtype="auto"), lambda _: None)
    return reading, clock() - began


def read_speed(size: int = 512 << 20) -> float:
    """Bytes a second at which one thread reads memory, the best of five: what no step can surpass."""
    import torch

    numbers = torch.ones(size // 8, dtype=torch.int64)
    took = []
    for _ in range(5):
        began = clock()
        numbers.sum()
        took.append(clock() - began)
    return size / min(took)


def step_bytes(folder: Path) -> int:
    """Bytes of 8-bit weights that a step reads: all matrices but the embedding."""
    from assistant.hosting.torch_engine.memory import shapes

    matrices = [shape for name, shape in shapes(folder).items() if len(shape) == 2 and "embed_tokens" not in name]
    return sum(rows * columns for rows, columns in matrices)


def _past(deadline: list[float]) -> bool:
    return bool(deadline) and time.perf_counter() > deadline[0]


def _read(path: Path) -> float:
    began = clock()
    buffer = bytearray(8 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return clock() - began
