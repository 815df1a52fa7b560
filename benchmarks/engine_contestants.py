"""The engines that are compared, each used as its makers advise, behind one way to run a task.

All hold the same weights: the 0.5B's GGUF, unpacked once into a folder of bfloat16 for everything that does not read GGUF.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assistant.hosting.engine import Engine, EngineRequest, Piece
from assistant.models.spec import ModelSpec
from benchmarks.engine_traffic import Task

BUSY = os.environ.get("CLOCK") == "cpu"
"""Whether the machine has other work: with one thread, CPU seconds are then nearer to what a quiet machine takes."""


def clock() -> float:
    """Seconds, of the kind that is measured."""
    return time.process_time() if BUSY else time.perf_counter()


@dataclass(frozen=True, slots=True)
class Timing:
    """One run: seconds to the first token and to the end, the ids, and forward passes where they could be counted.

    accepted: drafted tokens that were right.  copied: the share of the reply that stands in the old text, in its order.
    """

    first: float
    whole: float
    ids: tuple[int, ...]
    cached: int = 0
    passes: int = 0
    accepted: int = 0
    copied: float = 0.0

    @property
    def pace(self) -> float:
        """Tokens a second after the first."""
        return (len(self.ids) - 1) / (self.whole - self.first) if len(self.ids) > 1 else math.nan


Run = Callable[[Task], Timing]


@dataclass(frozen=True, slots=True)
class Contestant:
    """An engine.  `load` takes the time that it takes, and is called once."""

    name: str
    load: Callable[[], Run]


def of_engine(engine: Engine, passes: Callable[[], int] = lambda: 0) -> Run:
    """An engine of ours.  `passes` counts the model's forward passes so far."""

    def run(task: Task) -> Timing:
        before, began = passes(), clock()
        request = EngineRequest(task.prompt, task.tokens, task.stops, prediction=task.prediction)
        first, ids, usage = 0.0, [], None
        for item in engine.stream(request, lambda: False):
            if isinstance(item, Piece):
                first = first or clock() - began
                ids += item.ids
            else:
                usage = item.usage
        assert usage is not None
        whole = clock() - began
        return Timing(first or whole, whole, tuple(ids), usage.cached, passes() - before, usage.accepted)

    return run


class Folder:
    """The unpacked folder, and the models loaded from it; one that several contestants share is loaded once."""

    def __init__(self, path: Path, threads: int) -> None:
        self.path = path
        self.spec = ModelSpec(path.name, path, "safetensors", device="cpu", threads=threads, context_length=8192)
        self._loaded: dict[str, Any] = {}

    def loaded(self, quantization: str, dtype: str) -> Any:
        from assistant.hosting.torch_engine.loading import load

        key = f"{quantization} {dtype}"
        if key not in self._loaded:
            spec = replace(self.spec, quantization=quantization, dtype=dtype)  # type: ignore[arg-type]
            self._loaded[key] = load(spec, lambda _: None)
        return self._loaded[key]

    def ours(self, quantization: str, dtype: str, *, drafts: bool) -> Run:
        from assistant.hosting.torch_engine.engine import TorchEngine

        loaded = self.loaded(quantization, dtype)
        counting = _Counting(loaded.forward)
        return of_engine(TorchEngine(replace(loaded, forward=counting), drafts=drafts), lambda: counting.passes)

    def generate(self, quantization: str, dtype: str, **options: Any) -> Run:
        """`generate()` of transformers, timed by a streamer."""
        import torch
        from transformers import GenerationConfig

        model = self.loaded(quantization, dtype).model

        def run(task: Task) -> Timing:
            watch, ids = _Watch(), torch.tensor([task.prompt])
            config = GenerationConfig(
                do_sample=False,
                max_new_tokens=task.tokens,
                eos_token_id=sorted(task.stops) or -1,
                pad_token_id=0,
                **options,
            )
            with torch.inference_mode():
                out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config, streamer=watch)
            whole = clock() - watch.began
            reply = [token for token in out[0, len(task.prompt) :].tolist() if token not in task.stops]
            return Timing(watch.first or whole, whole, tuple(reply))

        return run


class _Counting:
    """A forward pass that counts how often it is made."""

    def __init__(self, forward: Any) -> None:
        self._forward = forward
        self.device = forward.device
        self.passes = 0

    def __call__(self, *arguments: Any) -> Any:
        self.passes += 1
        return self._forward(*arguments)


class _Watch:
    """A streamer that only looks at the clock; it is given the prompt before the first token."""

    def __init__(self) -> None:
        self.began = clock()
        self.first = 0.0
        self._puts = 0

    def put(self, _tokens: object) -> None:
        self._puts += 1
        if self._puts == 2:
            self.first = clock() - self.began

    def end(self) -> None:
        pass


def unpacked(gguf: Path) -> Path:
    """The GGUF's weights as a folder of bfloat16, written once beside the models."""
    folder = gguf.parents[2] / "converted" / gguf.parent.name
    if not (folder / "config.json").is_file():
        import torch
        import transformers

        options: Any = {"gguf_file": gguf.name}
        model = transformers.AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.bfloat16, **options)
        tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, **options)
        del model.config.quantization_config
        model.hf_quantizer = None  # the weights are plain by now, and may be written as such
        model.is_quantized = False
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder
