"""The DeepSpeed configuration, generated from the recipe: the one source of truth is the recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assistant.errors import UsageError
from training.config import Recipe

# DeepSpeed optimises sub-groups of this many parameters at a time, with float32 copies of their gradients.
SUB_GROUP = 200_000_000


def zero_config(recipe: Recipe, ranks: int, *, cpu: bool) -> dict[str, Any]:
    """The dictionary that `deepspeed.initialize` takes, for `ranks` ranks.

    Raises:
        UsageError: the batch does not divide among the ranks, or the recipe's `deepspeed` file contradicts the recipe.
    """
    ours = _generated(recipe, accumulation(recipe, ranks), cpu=cpu)
    return _merged(ours, _further(recipe.deepspeed), recipe.deepspeed) if recipe.deepspeed else ours


def accumulation(recipe: Recipe, ranks: int) -> int:
    """Micro-batches that each rank computes for one optimiser step.

    Raises:
        UsageError: `global_batch` is no multiple of `micro_batch` times the ranks.
    """
    if recipe.global_batch % (recipe.micro_batch * ranks):
        fitting = [size for size in range(1, recipe.micro_batch + 1) if recipe.global_batch % (size * ranks) == 0]
        remedy = f"Use micro_batch={fitting[-1]}." if fitting else f"Make global_batch a multiple of {ranks}."
        raise UsageError(
            f"global_batch={recipe.global_batch} is no multiple of micro_batch={recipe.micro_batch} times {ranks} ranks.",
            remedy,
        )
    return recipe.global_batch // (recipe.micro_batch * ranks)


def _generated(recipe: Recipe, steps: int, *, cpu: bool) -> dict[str, Any]:
    on_host = {"device": "cpu", "pin_memory": not cpu}
    zero: dict[str, Any] = {
        "stage": 3,
        "overlap_comm": not cpu,
        "contiguous_gradients": True,
        "sub_group_size": SUB_GROUP,
        "reduce_bucket_size": 50_000_000,
        "stage3_prefetch_bucket_size": 50_000_000,
        "stage3_param_persistence_threshold": 0 if cpu else 100_000,
    }
    if recipe.offload != "none":
        zero["offload_optimizer"] = on_host
    if recipe.offload == "all":
        zero["offload_param"] = on_host
    return {
        "train_micro_batch_size_per_gpu": recipe.micro_batch,
        "gradient_accumulation_steps": steps,
        "gradient_clipping": recipe.clip,
        "bf16": {"enabled": recipe.dtype == "bfloat16"},
        "fp16": {"enabled": False},
        "zero_optimization": zero,
        "optimizer": {"type": "AdamW", "params": _adam(recipe, cpu=cpu)},
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }


def _adam(recipe: Recipe, *, cpu: bool) -> dict[str, Any]:
    params = {"lr": recipe.learning_rate, "betas": [0.9, recipe.beta2], "weight_decay": recipe.weight_decay}
    # Torch's own AdamW needs no compiler; in host memory DeepSpeed's vectorised one is several times as fast.
    return params | ({"torch_adam": True, "fused": not cpu} if recipe.offload == "none" or cpu else {})


def _further(path: str) -> dict[str, Any]:
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"The DeepSpeed file {path} cannot be read: {error}.", "Mend it, or leave deepspeed empty.") from error
    if not isinstance(found, dict):
        raise UsageError(f"The DeepSpeed file {path} holds no object.", "Mend it, or leave deepspeed empty.")
    return found


_OWNED = ("train_batch_size", "scheduler", "optimizer")


def _merged(ours: dict[str, Any], theirs: dict[str, Any], path: str) -> dict[str, Any]:
    for key in _OWNED:
        if key in theirs and theirs[key] != "auto":
            raise UsageError(f"{path} sets {key}, which the recipe decides.", f"Remove {key} there and set the recipe's keys.")
    for where, mine, other in _conflicts(ours, theirs):
        raise UsageError(
            f"{path} sets {where} to {other!r}, but the recipe says {mine!r}.", "Remove it there, or change the recipe."
        )
    merged = _deep_merge(ours, theirs)
    for key in ("offload_optimizer", "offload_param"):
        if key in merged["zero_optimization"] and key not in ours["zero_optimization"]:
            raise UsageError(f"{path} sets zero_optimization.{key}, which the recipe decides.", "Set the recipe's key offload.")
    return merged


def _conflicts(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    for key in ours.keys() & theirs.keys():
        mine, other = ours[key], theirs[key]
        if isinstance(mine, dict) and isinstance(other, dict):
            yield from _conflicts(mine, other, f"{prefix}{key}.")
        elif other not in ("auto", mine) and f"{prefix}{key}" not in _TUNABLE:
            yield f"{prefix}{key}", mine, other


_TUNABLE = frozenset(
    {f"zero_optimization.{key}" for key in ("overlap_comm", "sub_group_size", "reduce_bucket_size", "contiguous_gradients")}
    | {f"zero_optimization.stage3_{key}" for key in ("prefetch_bucket_size", "param_persistence_threshold")}
    | {"steps_per_print", "wall_clock_breakdown"}
)


def _deep_merge(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(ours)
    for key, value in theirs.items():
        if value == "auto" or key in _OWNED:
            continue
        both_objects = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _deep_merge(merged[key], value) if both_objects else value
    return merged
