"""A trained LoRA adapter merged into its base model, so that the result opens like any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from training.config import Recipe
from training.model import DTYPES, grow

_PREFIX = "base_model.model."


def merged(recipe: Recipe, trained: Mapping[str, Tensor], rows: int) -> tuple[Any, dict[str, Tensor]]:
    """The base model, loaded anew in the recipe's dtype, and its state with the adapter added.

    `trained`: the consolidated state of the adapted model.  Loading the base again serves 4-bit runs as well, whose own
    weights are rounded.  W' = W + alpha / rank * B A (Hu et al., "LoRA", 2021).
    """
    from transformers import AutoModelForCausalLM

    factory: Any = AutoModelForCausalLM
    model = factory.from_pretrained(
        recipe.base, revision=recipe.revision, dtype=DTYPES[recipe.dtype], trust_remote_code=False, use_safetensors=True
    )
    grow(model, rows, recipe.seed)
    state: dict[str, Tensor] = model.state_dict()
    scale = recipe.lora_alpha / recipe.lora_rank
    for key, value in trained.items():
        name = key.removeprefix(_PREFIX)
        if name.endswith(".lora_A.default.weight"):
            layer = name.removesuffix(".lora_A.default.weight")
            up = trained[key.replace("lora_A", "lora_B")]
            weight = state[f"{layer}.weight"]
            delta = scale * (up.float() @ value.float())
            state[f"{layer}.weight"] = (weight.float() + delta).to(weight.dtype)
        elif name in state and value.shape == state[name].shape and value.dtype in (torch.float32, torch.bfloat16):
            # The embeddings train in full.
            state[name] = value
    return model, state
