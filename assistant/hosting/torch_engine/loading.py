"""From a folder to a model on its device: checked, measured, quantised, and nothing of it executed."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedConfig, PreTrainedModel

from assistant.errors import AssistantError, ModelError
from assistant.hosting.torch_engine import device as devices
from assistant.hosting.torch_engine import formats, kernel, memory, quantization
from assistant.hosting.torch_engine.layouts import forward_of
from assistant.hosting.torch_engine.network import Forward
from assistant.hosting.torch_engine.tokenizer import FolderTokenizer
from assistant.models.safety import check_folder
from assistant.models.spec import ModelSpec

Report = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to run.

    spec: as it was settled (see `formats`), and why where that was left to us.
    forward: what computes; where weights are packed, `model` itself no longer can.
    config: of the text model, where a model has several.
    end_ids: every id that the folder's configuration calls an end.
    free: bytes that were free on the device after loading.
    """

    spec: ModelSpec
    why: str
    model: PreTrainedModel
    forward: Forward
    tokenizer: FolderTokenizer
    config: PreTrainedConfig
    device: torch.device
    dtype: torch.dtype
    end_ids: frozenset[int]
    free: int
    threads: int


def load(spec: ModelSpec, report: Report) -> Loaded:
    """Load the model of `spec`; see `torch_engine.open` for what is raised."""
    report(0.0)
    check_folder(spec.path)
    device, threads = devices.choose(spec.device), devices.use_threads(spec.threads)
    tensors = memory.shapes(spec.path)
    free = memory.free_bytes(device)
    spec, why = formats.settled(spec, tensors, device, threads, free)
    dtype = devices.dtype_of(spec, device, threads)
    memory.check_weights(spec, tensors, device, dtype, free)
    with quietly(report), told_as_model_error(spec), memory.told_as_out_of_memory(f"Loading {spec.name}", free):
        tokenizer = FolderTokenizer(spec.path)
        config = AutoConfig.from_pretrained(spec.path, local_files_only=True, trust_remote_code=False)
        model = _weights(spec, device, dtype)
        forward = forward_of(model)
        if spec.quantization in quantization.OURS:
            kernel.share_work(threads)
        end_ids = _end_ids(spec.path, config)
    memory.give_back()
    report(1.0)
    text_config = config.get_text_config(decoder=True)
    left = memory.free_bytes(device)
    return Loaded(spec, why, model, forward, tokenizer, text_config, device, dtype, end_ids, left, threads)


def _weights(spec: ModelSpec, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    factory: Any = AutoModelForCausalLM
    model, info = factory.from_pretrained(
        spec.path,
        dtype="auto" if spec.quantization in quantization.OURS else dtype,  # rounded from what the file holds
        device_map={"": device},
        quantization_config=quantization.config_of(spec.quantization, dtype),
        attn_implementation="sdpa",
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    if info["missing_keys"]:
        some = ", ".join(sorted(info["missing_keys"])[:3])
        raise ModelError(
            f"{spec.path} lacks {len(info['missing_keys'])} of the model's tensors ({some}, …).", "Download the model again."
        )
    loaded: PreTrainedModel = model.eval()
    return loaded


def _end_ids(folder: Path, config: PreTrainedConfig) -> frozenset[int]:
    found = [config.eos_token_id]
    if (folder / "generation_config.json").is_file():
        found.append(GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id)
    return frozenset(
        token for ids in found if ids is not None for token in (ids if isinstance(ids, list | tuple) else (ids,)) if token >= 0
    )


@contextmanager
def quietly(report: Report) -> Iterator[None]:
    """Keep transformers' bars and warnings off our streams, and turn its progress into ours."""
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    previous = transformers.logging.set_tqdm_hook(lambda _factory, args, _options: Reporting(report, *args))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_tqdm_hook(previous)


class Reporting:
    """Stands in for a progress bar over the tensors of a model."""

    def __init__(self, report: Report, items: Sized | None = None, *_: object) -> None:
        self._report = report
        self._items: Any = items if items is not None else ()

    def __iter__(self) -> Iterator[Any]:
        total = max(1, len(self._items))
        for number, item in enumerate(self._items):
            self._report(number / total)
            yield item

    def __enter__(self) -> Reporting:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_args, **_options: None


@contextmanager
def told_as_model_error(spec: ModelSpec) -> Iterator[None]:
    """Whatever a library makes of a folder that it cannot load is one line for the user."""
    try:
        yield
    except AssistantError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{spec.path} cannot be loaded: {reason}",
            "Check that it is a complete causal language model, or download it again.",
        ) from error
