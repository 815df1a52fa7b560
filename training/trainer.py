"""The loop: micro-batches in, optimiser steps out, nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from assistant.errors import InputError
from training import resume
from training.collator import Batch, collate
from training.config import Recipe
from training.prepared import Packed
from training.schedule import Schedule, learning_rate


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step, as it is logged.

    loss: mean over the trained tokens of the global batch.  tokens: content tokens, over all ranks.
    norm: the gradient's norm before clipping.  skipped: loss or gradient was not a number, and nothing was changed.
    eval_loss: mean over the trained tokens of the test data, where it was measured after this step.
    """

    step: int
    loss: float
    learning_rate: float
    norm: float
    tokens: int
    trained: int
    seconds: float
    skipped: bool = False
    eval_loss: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What the loop works on.

    engine: of `deepspeed.initialize`, around a `TrainedLoss`.  folder: of checkpoints.  padding: an id to fill blocks with.
    """

    recipe: Recipe
    engine: Any
    train: Packed
    test: Packed
    schedule: Schedule
    folder: Path
    padding: int


def steps(run: Run, done: int, warn: Callable[[str], None]) -> Iterator[Step]:
    """Train from step `done` to the end, evaluating and saving on the way; gives every step as it is taken.

    All ranks walk through this together.  A checkpoint that cannot be written is a warning, not an end.

    Raises:
        InputError: too many steps in a row whose loss or gradient was not a number; the message names the rows.
    """
    bad = 0
    last = run.schedule.steps
    for number in range(done, last):
        taken = _step(run, number)
        bad = bad + 1 if taken.skipped else 0
        if taken.skipped:
            warn(f"Step {number + 1} was skipped: its loss or gradient is not a number. Rows: {_rows(run, number)}.")
        if bad >= run.recipe.max_bad_steps:
            raise InputError(
                f"{bad} steps in a row were not a number; the last with {_rows(run, number)}.",
                "Look at these rows, lower learning_rate, or use dtype=float32.",
            )
        finished = number + 1
        if len(run.test) and (_due(run.recipe.eval_every, finished) or finished == last):
            taken = Step(**(asdict(taken) | {"eval_loss": evaluate(run)}))
        yield taken
        if _due(run.recipe.save_every, finished) or finished == last:
            problem = resume.save(run.engine, run.recipe, run.folder, finished, run.train.facts.fingerprint)
            if problem:
                warn(f"{problem.message} The run goes on without this checkpoint. {problem.remedy}")


def evaluate(run: Run) -> float:
    """Mean loss over the trained tokens of the test data; called by all ranks."""
    rank, ranks, micro = dist.get_rank(), dist.get_world_size(), run.recipe.micro_batch
    run.engine.eval()
    total = torch.zeros(2, dtype=torch.float64, device=run.engine.device)
    with torch.no_grad():
        for start in range(0, len(run.test), micro * ranks):
            first = start + rank * micro
            blocks = range(min(first, len(run.test)), min(first + micro, len(run.test)))
            batch = _collated(run, run.test, list(blocks))
            total[0] += _loss(run, batch).double()
            total[1] += batch.trained
    run.engine.train()
    dist.all_reduce(total)
    return float(total[0] / total[1].clamp(min=1))


def _step(run: Run, number: int) -> Step:
    """One optimiser step: the mean over all trained tokens of the global batch, whatever the ranks and micro-batches."""
    started = time.perf_counter()
    rank, ranks = dist.get_rank(), dist.get_world_size()
    # Dropout follows from the step alone, so that a resumed run needs no state of a generator.
    torch.manual_seed((run.recipe.seed * 1_000_003 + number) * 65_537 + rank)
    dealt = run.schedule.of_rank(number, rank, ranks, run.recipe.micro_batch, run.train.pairs)
    batches = [_collated(run, run.train, blocks) for blocks in dealt]
    content = sum(len(ids) for block in run.schedule.at(number) for ids, _ in run.train.documents(block))
    trained = torch.tensor(float(sum(batch.trained for batch in batches)), device=run.engine.device)
    dist.all_reduce(trained)
    rate = learning_rate(run.recipe, number, run.schedule.steps)
    for group in run.engine.optimizer.param_groups:
        group["lr"] = rate
    total = torch.zeros((), device=run.engine.device)
    for batch in batches:
        loss = _loss(run, batch) / trained.clamp(min=1)
        # DeepSpeed divides by ranks and accumulation, which the division by all trained tokens has already done.
        run.engine.backward(loss * ranks * len(batches))
        run.engine.step()
        total += loss.detach()
    dist.all_reduce(total)
    # DeepSpeed leaves weights and moments alone where the gradient's norm is not a number.
    skipped = bool(run.engine.optimizer.overflow)
    norm = float(run.engine.get_global_grad_norm() or 0.0)
    return Step(number + 1, float(total), rate, norm, content, int(trained), time.perf_counter() - started, skipped)


def _loss(run: Run, batch: Batch) -> Tensor:
    on_device = batch.to(run.engine.device)
    found: Tensor = run.engine(on_device.input_ids, on_device.position_ids, on_device.targets)
    return found


def _collated(run: Run, packed: Packed, blocks: list[int]) -> Batch:
    return collate(packed, blocks, (run.recipe.micro_batch, run.recipe.block), run.padding)


def _due(every: int, finished: int) -> bool:
    return every > 0 and finished % every == 0


def _rows(run: Run, number: int) -> str:
    named = run.train.named(run.schedule.at(number))
    return named if len(named) < 300 else f"{named[:300]}…"
