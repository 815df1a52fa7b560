"""What the tests of the torch engine share: engines opened once, and whole replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from assistant import template
from assistant.conversation import start
from assistant.hosting.engine import EngineRequest, Finish, Piece, Sampling
from assistant.hosting.torch_engine import kernel
from assistant.hosting.torch_engine.engine import TorchEngine
from assistant.hosting.torch_engine.loading import Loaded, load
from assistant.models.spec import ModelSpec

THREADS = 1
PRODUCTS = ("compiled", "fbgemm", "plain")
"""The ways in which 8-bit layers are computed; where a machine lacks one, the next takes its place."""
GREEDY = Sampling()


@dataclass(frozen=True)
class Reply:
    text: str
    ids: tuple[int, ...]
    finish: Finish


def spec_of(folder: Path, **fields: Any) -> ModelSpec:
    return ModelSpec(
        **{"name": folder.name, "path": folder, "format": "safetensors", "threads": THREADS, "device": "cpu", **fields}
    )


@cache
def loaded(folder: Path, dtype: str = "float32", quantization: Any = "none") -> Loaded:
    return load(spec_of(folder, dtype=dtype, quantization=quantization), lambda _fraction: None)


def engine(folder: Path, dtype: str = "float32", quantization: str = "none", chunk: int | None = None) -> TorchEngine:
    """An engine with nothing kept from earlier tests, over weights that are loaded once."""
    return TorchEngine(loaded(folder, dtype, quantization), chunk=chunk)


def use_product(name: str, patch: pytest.MonkeyPatch) -> None:
    """Let layers that are made from now on be computed in this way."""
    torch.set_num_threads(THREADS)
    if name != "compiled":
        patch.setattr(kernel, "usable", lambda: False)
    if name == "plain":
        patch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)


def never() -> bool:
    return False


def run(
    engine: TorchEngine,
    prompt: Sequence[int],
    max_tokens: int = 24,
    stop_ids: frozenset[int] = frozenset(),
    sampling: Sampling = GREEDY,
    cancelled: Callable[[], bool] = never,
    prediction: Sequence[int] = (),
    owner: str = "",
    keep: bool = False,
) -> Reply:
    request = EngineRequest(tuple(prompt), max_tokens, stop_ids, sampling, tuple(prediction), owner, keep)
    *pieces, finish = engine.stream(request, cancelled)
    assert isinstance(finish, Finish)
    assert all(isinstance(piece, Piece) for piece in pieces)
    return Reply("".join(piece.text for piece in pieces), tuple(token for piece in pieces for token in piece.ids), finish)


def ask(engine: TorchEngine, question: str, system: str = "", **options: Any) -> Reply:
    encoded = template.encode(template.STARCHAT, start(question, system), engine.tokenizer)
    return run(engine, encoded.ids, **{"max_tokens": 120, "stop_ids": encoded.stop_ids, **options})
