"""What a ZeRO-3 engine has to remember, read from and written to its partitions.

Of every trained tensor each rank holds a slice of equal length (the last one padded): the float32 master weights and AdamW's
two moments.  Slices are kept by the tensor's name, so a checkpoint of N ranks can be cut anew for M ranks without any
conversion; DeepSpeed's own universal checkpoints need two repairs for the same (see docs/decisions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

# The master weights, and the names that AdamW gives to its moments.
MASTER = "master"
MOMENTS = ("exp_avg", "exp_avg_sq")
KINDS = (MASTER, *MOMENTS)

Read = Callable[[str, str, int, int], Tensor]


def shapes(engine: Any) -> dict[str, list[int]]:  # noqa: ANN401 - DeepSpeed is untyped
    """The full shape of every trained tensor, by name."""
    return {name: list(parameter.ds_shape) for name, parameter in _trained(engine)}


def slices(engine: Any, kind: str) -> dict[str, Tensor]:  # noqa: ANN401 - DeepSpeed is untyped
    """The slices of this rank, on the CPU: the master weights, or one of the moments, by the tensor's name."""
    found: dict[str, Tensor] = {}
    for name, flat, span in _spans(engine):
        source = flat.data if kind == MASTER else engine.optimizer.optimizer.state.get(flat, {}).get(kind)
        found[name] = torch.zeros_like(flat.data[span]).cpu() if source is None else source[span].cpu()
    return found


def updates(engine: Any) -> int:  # noqa: ANN401 - DeepSpeed is untyped
    """How often the optimiser has changed the weights."""
    states = engine.optimizer.optimizer.state.values()
    return max((int(state["step"]) for state in states if "step" in state), default=0)


def restore(engine: Any, done: int, read: Read) -> None:  # noqa: ANN401 - DeepSpeed is untyped
    """Put slices back; `read(kind, name, start, length)` gives a stretch of a flattened tensor, as far as it reaches.

    `done`: the number of updates, which AdamW needs for its bias correction.
    """
    optimizer = engine.optimizer
    optimizer.checkpoint_event_prologue()
    rank = torch.distributed.get_rank()
    for flat in optimizer.fp32_partitioned_groups_flat:
        optimizer.optimizer.state[flat] = _fresh(optimizer.optimizer, flat, done)
    for name, flat, span in _spans(engine):
        length = span.stop - span.start
        targets = {MASTER: flat.data} | {moment: optimizer.optimizer.state[flat][moment] for moment in MOMENTS}
        for kind, target in targets.items():
            found = read(kind, name, rank * length, length)
            target[span].zero_()
            target[span][: len(found)].copy_(found)
    for number in range(len(optimizer.fp16_groups)):
        optimizer._reassign_or_swap_out_partitioned_parameters(number)
    optimizer.checkpoint_event_epilogue()


def _fresh(adam: Any, flat: Tensor, done: int) -> dict[str, Any]:  # noqa: ANN401 - torch's or DeepSpeed's AdamW
    """AdamW's state; each flat tensor gets a step of its own, because torch counts it up in place."""
    step: Any = done
    if isinstance(adam, torch.optim.AdamW):
        step = torch.tensor(float(done), device=flat.device if adam.defaults.get("fused") else "cpu")
    return {"step": step} | {moment: torch.zeros_like(flat.data) for moment in MOMENTS}


def _trained(engine: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - DeepSpeed is untyped
    return ((name, one) for name, one in engine.module.named_parameters() if one.requires_grad)


def _spans(engine: Any) -> Iterator[tuple[str, Tensor, slice]]:  # noqa: ANN401 - DeepSpeed is untyped
    """Every trained tensor's name, the flat float32 tensor that holds this rank's slice of it, and where."""
    names = {one.ds_id: name for name, one in _trained(engine)}
    optimizer = engine.optimizer
    for flat, group in zip(optimizer.fp32_partitioned_groups_flat, optimizer.fp16_groups, strict=True):
        start = 0
        for parameter in group:
            end = start + parameter.ds_tensor.ds_numel
            yield names[parameter.ds_id], flat, slice(start, end)
            start = end
