"""What is measured of our torch engine alone: cancels, a long context, loading, memory."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from assistant.hosting.engine import EngineRequest
from assistant.models.spec import ModelSpec
from benchmarks.engine_contestants import Folder, clock
from benchmarks.engine_ledger import Ledger
from benchmarks.engine_page import Row


def measure(folder: Folder, gguf: ModelSpec, ledger: Ledger, *names: str) -> None:
    """Note everything, for those of `ours int8` and `ours int4` that are named."""
    for name in names:
        held = name.removeprefix("ours ")
        loaded = folder.loaded(held, "auto")
        note = partial(_note, ledger, name)
        note("read speed", [read_speed()])
        note("step bytes", [step_bytes(folder.path, held)])
        chunk, step = pass_seconds(loaded, 64, 0), pass_seconds(loaded, 1, 1)
        note("cancel reading", [delay / chunk for delay in cancel_delays(loaded, decoding=False)])
        note("cancel writing", [delay / step for delay in cancel_delays(loaded, decoding=True)])
        note("long context", long_context_ratio(loaded))
        note("load", [load_share(folder.spec, held)])
    for name, spec in (*((name, replace(folder.spec, quantization=name[-4:])) for name in names), ("llama.cpp wheel", gguf)):
        _note(ledger, name, "peak", [(found := memory_of(spec))["peak"]])
        _note(ledger, name, "held", [found["held"]])


def extremes(ledger: Ledger, *names: str) -> Iterator[Row]:
    """The rows of what was noted."""
    for name in names:
        noted = partial(ledger.notes, name=name)
        paces = [timing.pace for timing in ledger.timings("chat", name)]
        used = [
            bytes_ * pace / speed
            for bytes_, speed in zip(noted("step bytes"), noted("read speed"), strict=True)
            for pace in paces
        ]
        yield Row.of(f"memory read by one thread before {name}", None, "GB/s", [speed / 1e9 for speed in noted("read speed")])
        yield Row.of(f"decode, {name}, share of what reading the weights takes (a goal for GPUs)", 0.7, "x", used)
        reading, writing = noted("cancel reading"), noted("cancel writing")
        yield Row.of(f"cancel while a prompt is read, {name}, worst", 1.0, "chunks", reading, at_most=True, worst=True)
        yield Row.of(f"cancel while a reply is written, {name}, worst", 2.0, "tokens", writing, at_most=True, worst=True)
        long = noted("long context")
        yield Row.of(f"a step with 8k tokens of context against 64, {name} (a goal for GPUs)", 1.03, "x", long, at_most=True)
        yield Row.of(f"loading, {name}, share of what reading the file takes", 0.8, "x", noted("load"))
        peak = noted("peak")
        yield Row.of(f"loading, {name}, most memory beside the file's page cache", 2.0, "GB", peak, at_most=True)
    for name in (*names, "llama.cpp wheel"):
        yield Row.of(f"memory of a process that has loaded, {name}", None, "GB", ledger.notes("held", name))


def _note(ledger: Ledger, name: str, kind: str, values: Sequence[float]) -> None:
    for value in values:
        ledger.note(kind, "", name, value)


def pass_seconds(loaded: Any, tokens: int, rows: int, past: int = 600) -> float:
    """Seconds of a forward pass of so many tokens after `past`, the median of five."""
    from assistant.hosting.torch_engine.kv import empty

    kv, took = empty(loaded.config, past + 8 * tokens), []
    kv.feed(loaded.forward, [100] * past, 0)
    for _ in range(5):
        began = time.perf_counter()
        kv.feed(loaded.forward, [200] * tokens, rows)
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def cancel_delays(loaded: Any, *, decoding: bool, rounds: int = 8) -> list[float]:
    """Seconds from a cancel, at another moment in each round, to the end of the stream."""
    from assistant.hosting.torch_engine.engine import TorchEngine

    engine, delays = TorchEngine(loaded), []
    for number in range(rounds):
        prompt = tuple(1000 + number * 50 + place % 40 for place in range(20 if decoding else 600))
        deadline: list[float] = [] if decoding else [time.perf_counter() + 0.3 + 0.1 * number]
        for count, _ in enumerate(engine.stream(EngineRequest(prompt, 64, frozenset()), partial(_past, deadline))):
            if decoding and count == 4 and not deadline:
                deadline.append(time.perf_counter() + 0.01 * number)
        delays.append(time.perf_counter() - deadline[0])
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


def load_share(spec: ModelSpec, held: str) -> float:
    """Seconds to read the weights' file over those to load the model; the file is in the page cache for both."""
    from assistant.hosting.torch_engine.loading import load

    reading = min(_read(spec.path / "model.safetensors") for _ in range(3))
    began = clock()
    load(replace(spec, quantization=held, dtype="auto"), lambda _: None)  # type: ignore[arg-type]
    return reading / (clock() - began)


def memory_of(spec: ModelSpec) -> dict[str, float]:
    """Gigabytes that a process of its own takes: `peak` of what is not backed by a file, and what it `held` after loading."""
    command = [sys.executable, "-m", "benchmarks.engine_memory"]
    done = subprocess.run(command, input=spec.to_json(), text=True, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


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


def step_bytes(folder: Path, held: str) -> float:
    """Bytes of weights that a step reads: all matrices, the embedding as the head, which has 8 bits."""
    from assistant.hosting.torch_engine.memory import shapes
    from assistant.hosting.torch_engine.quantization import BYTES

    matrices = {name: rows * columns for name, (rows, columns) in _matrices(shapes(folder))}
    head = [
        size
        for name, size in matrices.items()
        if "lm_head" in name or ("embed_tokens" in name and "lm_head.weight" not in matrices)
    ]
    inner = [size for name, size in matrices.items() if "lm_head" not in name and "embed_tokens" not in name]
    return sum(head) + sum(inner) * BYTES[held]


def _matrices(shapes: dict[str, tuple[int, ...]]) -> Iterator[tuple[str, tuple[int, int]]]:
    for name, shape in shapes.items():
        if len(shape) == 2:
            yield name, (shape[0], shape[1])


def _past(deadline: list[float]) -> bool:
    return bool(deadline) and time.perf_counter() > deadline[0]


def _read(path: Path) -> float:
    began = clock()
    buffer = bytearray(8 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return clock() - began
