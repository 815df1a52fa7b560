"""The model of a run: built new or loaded, its embedding resized, an adapter put on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from assistant.errors import ModelError, OutOfMemory, UsageError
from training.config import Recipe
from training.reasons import brief

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}

# New rows are the mean of the old with noise of this share of their spread: the mean alone would make them all alike.
ROW_NOISE = 0.1


def shape_of(recipe: Recipe, rows: int) -> Any:  # noqa: ANN401 - a transformers configuration of any architecture
    """The configuration of the recipe's model with an embedding of `rows` rows.

    Raises:
        ModelError: the base cannot be had, is of an unknown kind, or is too short for the recipe's block.
    """
    from transformers import AutoConfig, GPTBigCodeConfig

    if not recipe.base:
        dropouts = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
        shape = {"n_layer": recipe.layers, "n_embd": recipe.width, "n_head": recipe.heads, "n_inner": 4 * recipe.width}
        sizes: dict[str, Any] = {"vocab_size": rows, "n_positions": recipe.block, **shape, **dropouts}
        return GPTBigCodeConfig(bos_token_id=0, eos_token_id=0, **sizes)
    try:
        config = AutoConfig.from_pretrained(recipe.base, revision=recipe.revision, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The base model {recipe.base} cannot be had: {brief(error)}.",
            "Check the name, the network and, for gated models, `hf auth login`; or name a local folder.",
        ) from error
    longest = getattr(config, "max_position_embeddings", recipe.block)
    if recipe.block > longest:
        raise UsageError(f"block={recipe.block}, but {recipe.base} reads {longest} tokens.", f"Use block={longest} or less.")
    config.vocab_size = max(rows, config.vocab_size)
    return config


def build(recipe: Recipe, rows: int, zero: dict[str, Any]) -> nn.Module:
    """The model on this rank; under ZeRO-3 each rank holds its part of a loaded model, and all of a new, small one.

    `zero`: the DeepSpeed configuration, which decides whether and how loaded weights are partitioned.

    Raises:
        ModelError: the base cannot be loaded, or holds weights that are not safetensors.
        OutOfMemory: it does not fit.
    """
    torch.manual_seed(recipe.seed)
    try:
        model = _loaded(recipe, rows, zero) if recipe.base else _new(recipe, rows)
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"{recipe.base or 'The model'} does not fit.", "Ask `--plan` which key to change.") from error
    if recipe.adapter != "none":
        model = _adapted(model, recipe)
    if recipe.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.config.use_cache = False
    return model  # type: ignore[no-any-return]  # transformers' factories are untyped


def grow(model: Any, rows: int, seed: int) -> None:  # noqa: ANN401 - any transformers model
    """Give the embedding (and an output matrix of its own) `rows` rows, the new ones near the mean of the old.

    Works on whole and on ZeRO-3-partitioned models; all ranks get the same rows.
    """
    old = int(model.get_input_embeddings().num_embeddings)
    if rows <= old:
        return
    torch.manual_seed(seed)
    model.resize_token_embeddings(rows, mean_resizing=False)
    tables = {id(module.weight): module.weight for module in (model.get_input_embeddings(), model.get_output_embeddings())}
    for table in tables.values():
        _fill(table, old, seed)


def _fill(table: nn.Parameter, old: int, seed: int) -> None:
    if not hasattr(table, "ds_id"):
        _fill_rows(table.data, old, seed)
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters([table], modifier_rank=0):
        if torch.distributed.get_rank() == 0:
            _fill_rows(table.data, old, seed)


def _fill_rows(table: Tensor, old: int, seed: int) -> None:
    known = table[:old].float()
    generator = torch.Generator(table.device).manual_seed(seed)
    noise = torch.randn(len(table) - old, table.shape[1], generator=generator, device=table.device)
    table[old:] = (known.mean(0) + ROW_NOISE * known.std(0) * noise).to(table.dtype)


def _new(recipe: Recipe, rows: int) -> Any:  # noqa: ANN401 - a transformers model
    from transformers import AutoModelForCausalLM

    factory: Any = AutoModelForCausalLM
    config = shape_of(recipe, rows)
    return factory.from_config(config, dtype=DTYPES[recipe.dtype], attn_implementation=recipe.attention)


def _loaded(recipe: Recipe, rows: int, zero: dict[str, Any]) -> Any:  # noqa: ANN401 - a transformers model
    from transformers import AutoModelForCausalLM
    from transformers.integrations.deepspeed import HfDeepSpeedConfig

    shape_of(recipe, rows)
    # While this object lives, from_pretrained builds each module already partitioned among the ranks.
    factory: Any = HfDeepSpeedConfig
    keep = factory(zero) if recipe.adapter != "qlora" else None
    options: dict[str, Any] = {"quantization_config": _four_bit()} if recipe.adapter == "qlora" else {}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            recipe.base,
            revision=recipe.revision,
            dtype=DTYPES[recipe.dtype],
            attn_implementation=recipe.attention,
            trust_remote_code=False,
            use_safetensors=True,
            **options,
        )
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(
            f"The base model {recipe.base} cannot be loaded: {brief(error)}.",
            "It must be a causal language model with safetensors weights.",
        ) from error
    grow(model, rows, recipe.seed)
    del keep
    return model


def _four_bit() -> Any:  # noqa: ANN401 - of transformers
    from transformers import BitsAndBytesConfig

    factory: Any = BitsAndBytesConfig
    return factory(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_quant_storage=torch.bfloat16,
    )


def _adapted(model: Any, recipe: Recipe) -> Any:  # noqa: ANN401 - a peft model
    """The model with a LoRA adapter on every linear layer; embeddings train in full, since control tokens are new to them."""
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(
        r=recipe.lora_rank, lora_alpha=recipe.lora_alpha, lora_dropout=recipe.lora_dropout, target_modules="all-linear"
    )
    adapted = get_peft_model(model, lora)
    model.get_input_embeddings().weight.requires_grad_(True)
    model.get_output_embeddings().weight.requires_grad_(True)
    # peft makes adapters in float32, and ZeRO-3 wants all that is trained in one type; its master weights are float32 anyway.
    for parameter in adapted.parameters():
        if parameter.requires_grad and parameter.dtype != DTYPES[recipe.dtype]:
            parameter.data = parameter.data.to(DTYPES[recipe.dtype])
    if recipe.checkpointing:
        model.enable_input_require_grads()
    return adapted
