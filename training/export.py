"""From a trained engine to a folder that a model host opens, checked before it is called done."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import Tensor

from assistant.conversation import start
from assistant.errors import DownloadError, ModelError, StorageError
from assistant.template import encode, stop_ids
from training import adapters, card, provenance, vocabulary
from training.config import Recipe
from training.encoding import TEMPLATES, Vocabulary
from training.model import DTYPES
from training.reasons import brief

MODEL = "model"

# The saved weights are rounded to the recipe's dtype, and kernels differ between devices.
_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.25}


@dataclass(frozen=True, slots=True)
class Saved:
    """A finished export.  difference: the largest between the logits before saving and after loading again."""

    folder: str
    tensors: int
    bytes: int
    difference: float


def save(engine: Any, recipe: Recipe, words: Vocabulary, folder: Path) -> Saved | None:  # noqa: ANN401 - DeepSpeed is untyped
    """Write `folder/model`; called by all ranks, gives its facts on rank 0.

    Written aside, loaded again, compared, and only then renamed, so that an older model stays until the new one is good.

    Raises:
        StorageError: the disk is full; the checkpoint that was written before stays.
        ModelError: what was saved does not give the logits that the engine gave.
    """
    probe = list(encode(TEMPLATES[recipe.template], start("Write a function that adds two numbers."), words).ids)
    before = _logits(engine.module.model, probe[: recipe.block], engine.device)
    weights = _consolidated(engine)
    if dist.get_rank() != 0:
        return None
    partial = folder / f".{MODEL}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write(engine, recipe, weights, partial, words)
        vocabulary_files(vocabulary.load(recipe.local_folder / "tokenizer"), recipe, partial)
        saved = _verified(partial, recipe, probe[: recipe.block], before, folder / MODEL)
        _replace(partial, folder / MODEL)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StorageError(
            f"The model cannot be saved to {folder / MODEL}: {error}.", "Free space and run the command again."
        ) from error
    return saved


def describe(folder: Path, notes: tuple[str, ...], licences: Mapping[str, int], recipe: Recipe) -> None:
    """Write the model card and what licences go with it; the weights are safe by then."""
    page = card.text(recipe, notes, licences, provenance.base_of(recipe))
    (folder / MODEL / provenance.CARD).write_text(page, encoding="utf-8")
    provenance.hand_on(recipe, folder / MODEL)


def push(model: Path, name: str) -> None:
    """Upload the finished folder to the hub.

    Raises:
        DownloadError: the hub refused or cannot be reached; the folder stays.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        api.create_repo(name, private=True, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=model)
    except Exception as error:
        # The library raises many kinds for one event: the upload failed.
        raise DownloadError(f"The upload to {name} failed: {brief(error)}.", f"The model is in {model}.") from error


def vocabulary_files(tokenizer: Tokenizer, recipe: Recipe, folder: Path) -> None:
    """Write the tokenizer with its chat template, in the form that transformers reads."""
    from transformers import PreTrainedTokenizerFast

    end = TEMPLATES[recipe.template].end
    factory: Any = PreTrainedTokenizerFast
    whole = factory(
        tokenizer_object=tokenizer, bos_token=vocabulary.END_OF_TEXT, eos_token=end, pad_token=vocabulary.END_OF_TEXT
    )
    whole.chat_template = card.JINJA[recipe.template]
    whole.model_max_length = recipe.block if not recipe.base else int(1e9)
    try:
        whole.save_pretrained(folder)
    except OSError:
        raise
    except Exception as error:  # the Rust library raises plain Exception where the disk is full
        raise OSError(str(error)) from error


def _consolidated(engine: Any) -> dict[str, Tensor]:  # noqa: ANN401 - DeepSpeed is untyped
    """The whole state on rank 0, by the model's own names; empty on the others."""
    found: dict[str, Tensor] | None = engine._zero3_consolidated_16bit_state_dict()
    return {key.removeprefix("model."): value for key, value in (found or {}).items() if key.startswith("model.")}


def _write(
    engine: Any,  # noqa: ANN401 - DeepSpeed is untyped
    recipe: Recipe,
    weights: dict[str, Tensor],
    folder: Path,
    words: Vocabulary,
) -> None:
    dtype = DTYPES[recipe.dtype]
    if recipe.adapter == "none":
        model, state = engine.module.model, weights
    else:
        model, state = adapters.merged(recipe, weights, vocabulary.rows(words))
    ends = sorted(stop_ids(TEMPLATES[recipe.template], words))
    first = words.control_id(TEMPLATES[recipe.template].end)
    # The turn's own end comes first, for programs that read only one.
    ends = [first, *(one for one in ends if one != first)] if first is not None else ends
    text_end = words.control_id(vocabulary.END_OF_TEXT)
    for config in (model.config, model.generation_config):
        config.eos_token_id, config.bos_token_id, config.pad_token_id = ends, text_end, text_end
    model.config.dtype, model.config.use_cache = dtype, True
    model.generation_config._from_model_config = False
    model.save_pretrained(folder, state_dict={key: one.to(dtype) for key, one in state.items()}, max_shard_size="5GB")


@torch.no_grad()
def _logits(model: Any, ids: list[int], device: Any) -> Tensor:  # noqa: ANN401 - a transformers model, a torch.device
    """Logits of the last position, shape (rows,), float32 on the CPU; under ZeRO-3 called by all ranks."""
    training = model.training
    model.eval()
    found: Tensor = model(torch.tensor([ids], device=device), use_cache=False).logits[0, -1].float().cpu()
    model.train(training)
    return found


def _verified(partial: Path, recipe: Recipe, probe: list[int], before: Tensor, final: Path) -> Saved:
    from safetensors import safe_open
    from transformers import AutoModelForCausalLM

    factory: Any = AutoModelForCausalLM
    model, report = factory.from_pretrained(partial, dtype=DTYPES[recipe.dtype], output_loading_info=True)
    wrong = [*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]]
    after = _logits(model, probe, torch.device("cpu"))
    difference = float((after - before).abs().max()) if after.shape == before.shape else float("inf")
    # Merging an adapter into rounded weights, above all over 4-bit ones, moves the logits a little.
    allowed = _TOLERANCE[recipe.dtype] * (1 if recipe.adapter == "none" else 8)
    if wrong or not difference <= allowed * max(1.0, float(before.abs().max())):
        raise ModelError(
            f"The saved model differs from the trained one: logits by {difference:.3g}, tensors {wrong[:3]}.",
            "Run the command again; the last checkpoint is good.",
        )
    files = list(partial.glob("*.safetensors"))
    tensors = 0
    for path in files:
        with safe_open(path, framework="pt") as file:
            tensors += sum(min(file.get_slice(key).get_shape(), default=1) > 0 for key in file.keys())  # noqa: SIM118 - no mapping
    return Saved(str(final), tensors, sum(path.stat().st_size for path in files), difference)


def _replace(partial: Path, final: Path) -> None:
    for path in partial.iterdir():
        # safetensors makes its files readable by their owner alone.
        path.chmod(0o644)
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    older = final.with_name(f".{final.name}.older")
    shutil.rmtree(older, ignore_errors=True)
    if final.exists():
        final.rename(older)
    partial.rename(final)
    shutil.rmtree(older, ignore_errors=True)
