"""The run's report: a page to read, a plot, and the same numbers for programs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from training import shapes
from training.config import Recipe
from training.export import Saved
from training.machine import Machine
from training.prepared import Facts
from training.progress import mfu
from training.sample import Sample
from training.trainer import Step


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a rank in GiB: the most that any has held, and what was planned (None where no plan was made)."""

    held: float
    planned: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to, besides its steps.  eval_loss_first: before the first step; None without test data."""

    eval_loss_first: float | None
    train: Facts
    test: Facts
    notes: tuple[str, ...]
    saved: Saved | None
    memory: Memory
    samples: tuple[Sample, ...]


def write(folder: Path, recipe: Recipe, machine: Machine, steps: Sequence[Step], outcome: Outcome) -> None:
    """Write `report.json`, `report.md`, `loss.png` and `loss.svg` to the run's folder."""
    numbers = summary(recipe, machine, steps, outcome)
    (folder / "report.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    plotted = _plot(folder, recipe.name, steps, outcome.eval_loss_first)
    (folder / "report.md").write_text(_page(recipe, numbers, outcome, plotted=plotted), encoding="utf-8")


def summary(recipe: Recipe, machine: Machine, steps: Sequence[Step], outcome: Outcome) -> dict[str, Any]:
    """The report's numbers; what was not measured is null."""
    measured = [step.eval_loss for step in steps if step.eval_loss is not None]
    losses = [step.loss for step in steps if math.isfinite(step.loss)]
    # The first step pays for the start of every kernel.
    timed = steps[1:] or steps
    speed = sum(step.tokens for step in timed) / max(1e-9, sum(step.seconds for step in timed))
    return {
        "recipe": recipe.name,
        "world_size": machine.count,
        "device": machine.device,
        "steps": len(steps),
        "skipped_steps": sum(step.skipped for step in steps),
        "seconds": round(sum(step.seconds for step in steps), 3),
        "eval_loss_first": outcome.eval_loss_first,
        "eval_loss_last": measured[-1] if measured else None,
        "train_loss_first": losses[0] if losses else None,
        "train_loss_last": losses[-1] if losses else None,
        "trained_token_share": outcome.train.trained_share,
        "tokens": sum(step.tokens for step in steps),
        "tokens_per_second": speed,
        "mfu": _mfu(recipe, machine, speed),
        "memory_gib_per_rank": round(outcome.memory.held, 3),
        "planned_gib_per_rank": None if outcome.memory.planned is None else round(outcome.memory.planned, 3),
        "train_data": asdict(outcome.train),
        "test_data": asdict(outcome.test),
        "model": asdict(outcome.saved) if outcome.saved else None,
        "samples": [asdict(one) for one in outcome.samples],
    }


def _mfu(recipe: Recipe, machine: Machine, speed: float) -> float | None:
    """The share of the peak that the run reached; None where the peak is not known."""
    if not machine.peak_tflops:
        return None
    return mfu(speed, shapes.flops_per_token(shapes.shape(recipe), adapter=recipe.adapter != "none"), machine)


def _page(recipe: Recipe, numbers: dict[str, Any], outcome: Outcome, *, plotted: bool) -> str:
    train = outcome.train
    lines = [f"# {recipe.name}", "", *([recipe.about, ""] if recipe.about else [])]
    lines += ["![loss](loss.svg)", ""] if plotted else []
    lines += ["| | |", "|---|---|"]
    lines += [f"| ranks | {numbers['world_size']} x {numbers['device']} |"]
    lines += [f"| steps | {numbers['steps']} ({numbers['skipped_steps']} skipped) in {numbers['seconds']:.0f} s |"]
    lines += [f"| eval loss, first → last | {_shown(numbers['eval_loss_first'])} → {_shown(numbers['eval_loss_last'])} |"]
    lines += [f"| train loss, first → last | {_shown(numbers['train_loss_first'])} → {_shown(numbers['train_loss_last'])} |"]
    lines += [f"| content tokens a second | {numbers['tokens_per_second']:,.0f} |"]
    lines += [f"| model FLOPs utilisation | {numbers['mfu']:.1%} |"] if numbers["mfu"] is not None else []
    planned = "" if outcome.memory.planned is None else f", planned {outcome.memory.planned:.1f}"
    lines += [f"| memory of a rank, at most | {outcome.memory.held:.1f} GiB{planned} |"]
    lines += [f"| trained tokens | {train.trained_tokens:,} of {train.tokens:,} ({train.trained_share:.1%}) |"]
    lines += [f"| blocks of {recipe.block} tokens | {train.blocks:,}, {train.fill:.1%} full |"]
    lines += [f"| exchanges longer than a block, left out | {train.left_out} |"]
    if outcome.saved:
        saved = outcome.saved
        lines += [f"| model | {saved.tensors} tensors, {saved.bytes / 1e6:,.1f} MB |"]
        lines += [f"| logits after loading it again | differ by {saved.difference:.2g} |"]
    lines += ["", "Losses are means over trained tokens: what the assistant writes, up to and including its end token.", ""]
    lines += _conversation(outcome.samples)
    lines += ["## Data", "", *(f"- {note}" for note in outcome.notes), "", "## Recipe", "", "```toml"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in asdict(recipe).items() if value not in ("", ())]
    return "\n".join([*lines, "```", ""])


def _conversation(samples: Sequence[Sample]) -> list[str]:
    """What the saved model answers; each answer in a fence that is longer than any inside it."""
    lines = ["## What it answers", ""] if samples else []
    for one in samples:
        fence = "`" * max(4, 1 + max((len(run) for run in re.findall("`+", one.answer)), default=0))
        end = f"It ended by itself after {one.tokens} tokens." if one.ended else f"It was cut after {one.tokens} tokens."
        lines += [f"> {one.question}", "", fence, one.answer, fence, "", end, ""]
    return lines


def _plot(folder: Path, name: str, steps: Sequence[Step], first: float | None) -> bool:
    """Draw the losses; False where matplotlib is not installed or nothing was measured."""
    try:
        figure = import_module("matplotlib.figure").Figure(figsize=(8, 4.5), layout="constrained")
    except ImportError:
        return False
    drawn = [step for step in steps if math.isfinite(step.loss)]
    if not drawn:
        return False
    axes = figure.subplots()
    window = max(1, len(drawn) // 40)
    axes.plot(
        [step.step for step in drawn],
        [step.loss for step in drawn],
        linewidth=1,
        alpha=0.35 if window > 1 else 1,
        label="train",
    )
    if window > 1:
        means = [sum(step.loss for step in drawn[at - window : at]) / window for at in range(window, len(drawn) + 1)]
        axes.plot([step.step for step in drawn[window - 1 :]], means, color="C0", label=f"train, mean of {window} steps")
    measured = [(step.step, step.eval_loss) for step in drawn if step.eval_loss is not None]
    measured = [(0, first), *measured] if first is not None else measured
    if measured:
        axes.plot(*zip(*measured, strict=True), marker="o", color="C1", label="eval")
    axes.set(title=name, xlabel="optimiser step", ylabel="cross-entropy of trained tokens (nats)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend()
    for suffix in ("png", "svg"):
        figure.savefig(folder / f"loss.{suffix}", dpi=120)
    return True


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"
