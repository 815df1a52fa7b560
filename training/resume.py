"""Saving and resuming a run over all its ranks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open
from torch import Tensor

from assistant.errors import ModelError, StorageError, UsageError
from training import checkpoints, zero_state
from training.checkpoints import Manifest, Seal
from training.config import Recipe

# Keys that may differ between a run and its continuation, because the curve does not depend on them.
_FREE = {
    "name",
    "about",
    "data",  # what was read of it is compared instead
    "gpus",
    "nodes",
    "rendezvous",
    "hostfile",
    "output",
    "save_every",
    "keep",
    "eval_every",
    "tensorboard",
    "trackers",
    "push",
}
_FREE |= {
    "micro_batch",
    "checkpointing",
    "offload",
    "attention",
    "loss_chunk",
    "max_bad_steps",
    "deepspeed",
    "max_eval_dialogues",
}


def save(engine: Any, recipe: Recipe, folder: Path, step: int, data: str) -> StorageError | None:  # noqa: ANN401 - untyped
    """Write a checkpoint; called by all ranks.  A full disk is returned, not raised: the run goes on with the ones it has."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    problem: StorageError | None = None
    partial = folder / f".step-{step:08d}.partial"
    if rank == 0:
        problem = _attempt(lambda: checkpoints.begin(folder, step))
    dist.barrier()
    mine: list[Seal] = []
    # One kind at a time, so that the host never holds more than a third of the state.
    for kind in zero_state.KINDS if problem is None else ():
        problem = problem or _attempt(lambda kind=kind: mine.append(_shard(engine, partial, rank, kind)))
    seals: list[list[Seal]] = [[] for _ in range(ranks)]
    dist.all_gather_object(seals, mine)
    if rank == 0 and all(len(one) == len(zero_state.KINDS) for one in seals):
        written = tuple(seal for one in seals for seal in one)
        shapes, done = zero_state.shapes(engine), zero_state.updates(engine)
        manifest = Manifest(step, done, ranks, shapes, data, deciding(recipe), written)
        problem = _attempt(lambda: checkpoints.commit(partial, manifest)) or _attempt(
            lambda: checkpoints.prune(folder, recipe.keep, step)
        )
    elif rank == 0:
        checkpoints.discard(partial)
        problem = problem or StorageError(f"The checkpoint of step {step} could not be written by every rank.", "Free space.")
    dist.barrier()
    return problem


def resume(
    engine: Any,  # noqa: ANN401 - DeepSpeed is untyped
    recipe: Recipe,
    folder: Path,
    data: str,
    warn: Callable[[str], None] = lambda _: None,
) -> int:
    """Continue from the newest checkpoint that verifies; gives the number of steps done, 0 where there is none.

    `warn` is told, on rank 0, of newer checkpoints that are damaged.

    Raises:
        ModelError: the checkpoint is of another model.
        UsageError: it is of other data, or of a recipe with another curve.
    """
    chosen: list[tuple[Path, Manifest] | None] = [None]
    if dist.get_rank() == 0:
        chosen = [checkpoints.newest(folder, lambda path: warn(f"The checkpoint {path} is damaged and passed over."))]
    dist.broadcast_object_list(chosen, src=0)
    if chosen[0] is None:
        return 0
    path, manifest = chosen[0]
    _same(manifest, engine, recipe, data, path)
    with ExitStack() as stack:
        opened = {seal.name: stack.enter_context(safe_open(path / seal.name, framework="pt")) for seal in manifest.files}

        def read(kind: str, name: str, start: int, length: int) -> Tensor:
            files = [opened[_file(rank, kind)] for rank in range(manifest.world_size)]
            return _stretch(files, name, (start, min(start + length, math.prod(manifest.shapes[name]))))

        zero_state.restore(engine, manifest.updates, read)
    return manifest.step


def deciding(recipe: Recipe) -> dict[str, Any]:
    """The keys that decide the curve, as JSON holds them."""
    chosen = {key: value for key, value in asdict(recipe).items() if key not in _FREE}
    plain: dict[str, Any] = json.loads(json.dumps(chosen))
    return plain


def refuse_other_keys(recipe: Recipe, folder: Path) -> None:
    """Compare the recipe with a folder's newest checkpoint, before anything is read or written.

    Raises:
        UsageError: it is of a recipe with another curve; the message names the keys.
    """
    found = checkpoints.described(folder)
    if found and (other := _other_keys(found[1], recipe)):
        raise UsageError(f"The checkpoint {found[0]} is of a recipe with other keys: {other}.", _BACK)


_ELSEWHERE = "Choose another output folder, or remove its checkpoints to begin anew."
_BACK = f"Set them back. {_ELSEWHERE}"


def _other_keys(manifest: Manifest, recipe: Recipe) -> str:
    now = deciding(recipe)
    differ = [key for key, value in now.items() if manifest.recipe.get(key) != value]
    shown = [f"{key} was {json.dumps(manifest.recipe.get(key))}, is {json.dumps(now[key])}" for key in differ]
    return "; ".join(shown)


def _same(manifest: Manifest, engine: Any, recipe: Recipe, data: str, path: Path) -> None:  # noqa: ANN401 - untyped
    other = _other_keys(manifest, recipe)
    named = f": {other}" if other else ""
    if manifest.shapes != zero_state.shapes(engine):
        raise ModelError(f"The checkpoint {path} is of another model{named}.", _ELSEWHERE)
    if other:
        raise UsageError(f"The checkpoint {path} is of a recipe with other keys{named}.", _BACK)
    if manifest.data != data:
        raise UsageError(f"The checkpoint {path} was trained on other data than {', '.join(recipe.data)}.", _ELSEWHERE)


def _shard(engine: Any, partial: Path, rank: int, kind: str) -> Seal:  # noqa: ANN401 - DeepSpeed is untyped
    slices = {name: one.contiguous().numpy() for name, one in zero_state.slices(engine, kind).items()}
    return checkpoints.write_shard(partial, _file(rank, kind), slices)


def _file(rank: int, kind: str) -> str:
    return f"rank-{rank:05d}.{kind}.safetensors"


def _stretch(files: list[Any], name: str, span: tuple[int, int]) -> Tensor:
    """The numbers of a full tensor from `span[0]` up to `span[1]`, from the slices of however many ranks."""
    each = files[0].get_slice(name).get_shape()[0]
    parts = []
    for number, file in enumerate(files):
        first, last = max(span[0], number * each), min(span[1], (number + 1) * each)
        if first < last:
            parts.append(file.get_slice(name)[first - number * each : last - number * each])
    return torch.cat(parts) if parts else torch.empty(0)


def _attempt(action: Any) -> StorageError | None:  # noqa: ANN401 - a callable whose result does not matter
    try:
        action()
    except StorageError as error:
        return error
    return None
