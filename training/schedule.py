"""Which blocks a step sees, and how large its learning rate is: functions of the step alone, so that resuming is exact."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.config import Recipe


@dataclass(frozen=True, slots=True)
class Schedule:
    """The run's course.

    blocks: blocks of an epoch.  total: blocks of the whole run; the last step may be short, and nothing is dropped.
    """

    blocks: int
    total: int
    steps: int
    global_batch: int
    seed: int

    def at(self, step: int) -> list[int]:
        """The blocks of a step (from 0), the same for any number of ranks."""
        first = step * self.global_batch
        positions = range(first, min(first + self.global_batch, self.total))
        return [int(_order(self.seed, at // self.blocks, self.blocks)[at % self.blocks]) for at in positions]

    def of_rank(
        self, step: int, rank: int, ranks: int, micro_batch: int, work: Callable[[int], float] = lambda _: 0.0
    ) -> list[list[int]]:
        """The micro-batches of one rank: as many for every rank, some of them short or empty in the last step.

        work: of a block.  ZeRO-3's ranks wait for each other in every layer, so those that compute at the same time get blocks
        of about as much work together.
        """
        blocks = sorted(self.at(step), key=work, reverse=True)
        at_once = ranks * micro_batch
        return [_deal(blocks[start : start + at_once], ranks)[rank] for start in range(0, self.global_batch, at_once)]


def plan(recipe: Recipe, blocks: int) -> Schedule:
    """The course of a run over `blocks` blocks an epoch."""
    total = recipe.max_steps * recipe.global_batch if recipe.max_steps else max(1, round(recipe.epochs * blocks))
    if recipe.max_steps and recipe.epochs > 0:
        total = min(total, max(1, round(recipe.epochs * blocks)))
    return Schedule(blocks, total, -(-total // recipe.global_batch), recipe.global_batch, recipe.seed)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine down to `final_learning_rate` (Loshchilov and Hutter, 2017); `step` is from 0."""
    warm = math.ceil(recipe.warmup * steps)
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    progress = (step - warm) / max(1, steps - warm)
    low = recipe.final_learning_rate
    return recipe.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * progress)))


def _deal(blocks: Sequence[int], hands: int) -> list[list[int]]:
    """Blocks, most work first, dealt back and forth: who gets the first of one round gets the last of the next."""
    dealt: list[list[int]] = [[] for _ in range(hands)]
    for turn, start in enumerate(range(0, len(blocks), hands)):
        order = dealt if turn % 2 == 0 else dealt[::-1]
        for hand, block in zip(order, blocks[start : start + hands], strict=False):
            hand.append(block)
    return dealt


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, blocks: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(blocks)
