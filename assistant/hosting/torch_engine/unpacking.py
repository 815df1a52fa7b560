"""A GGUF file as a folder that this engine opens: unpacked to bfloat16 once, rounded to 8 or 4 bits, kept beside the models.

What is kept loads quicker and takes less of the disk than bfloat16 would.  Nothing is asked of the file but its weights, sizes
and vocabulary; a chat template in it is not carried over.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, GgufConfig, PreTrainedModel, modeling_gguf_pytorch_utils

from assistant.errors import ModelError, OutOfMemory
from assistant.hosting.llama_gguf import Header, read_header
from assistant.hosting.llama_vocabulary import read_vocabulary
from assistant.hosting.torch_engine import device as devices
from assistant.hosting.torch_engine import loading, memory
from assistant.hosting.torch_engine.gguf_tokenizer import tokenizer_json
from assistant.hosting.torch_engine.quantization import BYTES, OURS
from assistant.hosting.torch_engine.quantizer import rounded
from assistant.models import conversions, receipts
from assistant.models.files import require_space
from assistant.models.gguf import check_gguf, tensor_sizes
from assistant.models.spec import ModelSpec

Report = Callable[[float], None]

_HEADER = 512 << 20
_ARCHITECTURES = ("llama", "qwen2", "starcoder2")
_LEAVE_OUT = "Leave --quantization out: llama.cpp runs it."


def folder_for(spec: ModelSpec, report: Report) -> Path:
    """The conversion of a GGUF model, made now where there is none; `report` hears the fraction that is done.

    Raises:
        ModelError: the file is damaged, of a kind that cannot be converted, or the package `gguf` is missing.
        OutOfMemory: unpacking does not fit into memory.
        StorageError: the result does not fit on the disk.
    """
    if kept := conversions.found(spec):
        return kept.folder
    if importlib.util.find_spec("gguf") is None:
        raise ModelError(
            f"{spec.name} needs the package gguf to be unpacked for --quantization {spec.quantization}.",
            "Install it: pip install 'starchat-assistant[torch]', or leave --quantization out.",
        )
    folder = conversions.folder_of(spec)
    with receipts.locked(folder.name, lambda _: None):
        if conversions.found(spec) is None:
            _convert(spec, report)
    return folder


def _convert(spec: ModelSpec, report: Report) -> None:
    check_gguf(spec.path)
    header, sizes = read_header(spec.path), tensor_sizes(spec.path)
    _check_network(spec, header, sizes)
    vocabulary = read_vocabulary(header.metadata, spec.name)
    _check_room(spec, sizes)
    devices.use_threads(spec.threads)
    free = memory.free_bytes(torch.device("cpu"))
    with conversions.making(spec) as draft:
        shortage = memory.told_as_out_of_memory(f"Unpacking {spec.name}", free)
        with loading.told_as_model_error(spec), shortage, _read_once():
            tokenizer = tokenizer_json(spec.path, header.metadata, vocabulary)
            model = _unpacked(spec, report)
            rounded(model, spec.quantization)
        report(0.9)
        (draft / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
        _save(model, spec, sorted(vocabulary.end_ids), draft)
        del model
    memory.give_back()
    report(1.0)


def _check_network(spec: ModelSpec, header: Header, sizes: Mapping[str, int]) -> None:
    """What transformers' reader would leave out without a word is refused."""
    kind, facts = header.architecture, header.metadata
    if kind not in _ARCHITECTURES:
        raise ModelError(f"{spec.name} is of the architecture {kind[:40]}, which is not unpacked here.", _LEAVE_OUT)
    stretched = bytes(facts.get(f"{kind}.rope.scaling.type", b"none")) != b"none" or "rope_freqs.weight" in sizes
    if stretched or facts.get(f"{kind}.expert_count", 0):
        what = "stretches its window" if stretched else "is made of experts"
        raise ModelError(f"{spec.name} {what}, which is lost when it is unpacked.", _LEAVE_OUT)


def _check_room(spec: ModelSpec, sizes: Mapping[str, int]) -> None:
    everything, largest = sum(sizes.values()), max(sizes.values(), default=0)
    # All in bfloat16, one tensor twice in float32 on its way there, and the header as its reader holds it.
    needed = 2 * everything + 10 * largest + _HEADER + memory.RESERVE
    free = memory.free_bytes(torch.device("cpu"))
    if needed > free:
        raise OutOfMemory(
            f"Unpacking {spec.name} needs {memory.gigabytes(needed)} of memory and {memory.gigabytes(free)} are free.",
            f"Close other programs. {_LEAVE_OUT}",
        )
    embedding = sizes.get("token_embd.weight", 0)
    body = everything - embedding - sizes.get("output.weight", 0)
    # The embedding in bfloat16, the head in 8 bits; scales and the vocabulary are little beside.
    require_space(conversions.folder_of(spec), int(body * BYTES[spec.quantization] * 1.02) + 3 * embedding + (16 << 20))


def _unpacked(spec: ModelSpec, report: Report) -> PreTrainedModel:
    factory: Any = AutoModelForCausalLM
    with _heard(lambda fraction: report(0.8 * fraction)), loading.quietly(lambda _: None):
        model = factory.from_pretrained(
            spec.path.parent,
            gguf_file=spec.path.name,
            quantization_config=GgufConfig(dequantize=True),  # no kernel is looked for
            dtype=torch.bfloat16,
            local_files_only=True,
            trust_remote_code=False,
        )
    unpacked: PreTrainedModel = model.eval()
    return unpacked


def _save(model: PreTrainedModel, spec: ModelSpec, ends: list[int], draft: Path) -> None:
    config = model.config
    config.tie_word_embeddings = False  # the head has been rounded and the embedding has not
    config.quantization_config, config.dtype, config.eos_token_id = OURS[spec.quantization](), torch.float32, ends
    config.save_pretrained(draft)
    (draft / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}), encoding="utf-8")
    try:
        save_file(dict(model.state_dict()), draft / "model.safetensors", metadata={"format": "pt"})
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(draft)) from error


@contextmanager
def _read_once() -> Iterator[None]:
    """Without this, transformers reads the header three times and makes the table of names anew for every module."""
    library: Any = importlib.import_module("gguf")
    before = library.GGUFReader, library.get_tensor_name_map
    library.GGUFReader, library.get_tensor_name_map = map(cache, before)
    try:
        yield
    finally:
        library.GGUFReader, library.get_tensor_name_map = before


@contextmanager
def _heard(report: Report) -> Iterator[None]:
    """Hear of each tensor that transformers unpacks, which it tells nobody but a progress bar of its own."""
    module: Any = modeling_gguf_pytorch_utils
    bar, module.tqdm = module.tqdm, lambda items, **_options: loading.Reporting(report, items)
    try:
        yield
    finally:
        module.tqdm = bar
