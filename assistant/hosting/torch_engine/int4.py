"""Linear layers in 4 bits for the CPU: integers of 8 bits that are written in 4.

A weight is `scale · (m · (q - 8) + z)`: `q` from 0 to 15 for each weight, integers `m` and `z` for each group of 32 inputs of
an output, one float `scale` for each output.  So a group's range and its middle are its own, as in rounding with a zero point,
while the product stays one of integers: exact, and the same for a token whatever is computed beside it.  With the numbers of
the groups a weight takes 4.5 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn.functional import pad

from assistant.hosting.torch_engine import kernel
from assistant.hosting.torch_engine.int8 import Int8Linear, joined_int8
from assistant.hosting.torch_engine.kernel import GROUP

BITS = 4.5
_MOST, _WIDEST = 127, 17  # 17 · 15 spans all of 8 bits
_AT_ONCE = 64  # rows of a weight that are rounded at a time: their floats stay in the processor's cache


class Int4Linear(nn.Module):
    """`x W^T + b` with a weight in 4 bits, to be multiplied by what `joined_int4` makes of it.

    weight: two codes in each byte, `[out, groups * 16]`: of eight inputs, the first four in the low halves.
    steps: m and z, int8 `[out, groups, 2]`.  scale: float32 `[out]`.
    """

    def __init__(self, inputs: int, outputs: int, bias: torch.Tensor | None, device: torch.device) -> None:
        super().__init__()
        self.in_features, self.out_features = inputs, outputs
        groups = -(-inputs // GROUP)
        weight = torch.empty(outputs, groups * GROUP // 2, dtype=torch.uint8, device=device)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.steps = nn.Parameter(torch.empty(outputs, groups, 2, dtype=torch.int8, device=device), requires_grad=False)
        self.scale = nn.Parameter(torch.empty(outputs, dtype=torch.float32, device=device), requires_grad=False)
        self.bias = bias


def of_weight(weight: torch.Tensor, bias: torch.Tensor | None) -> Int4Linear:
    """The layer of a float `weight`, shape `[out, in]`."""
    linear = Int4Linear(weight.shape[1], weight.shape[0], bias, weight.device)
    linear.weight.data, linear.steps.data, linear.scale.data = quantised(weight)
    return linear


def quantised(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The codes, the groups' steps and the scales of a float weight, as `Int4Linear` holds them."""
    places = range(0, len(rows), _AT_ONCE)
    parts = [kernel.quarters(part) or in_torch(part.float()) for part in (rows[place : place + _AT_ONCE] for place in places)]
    codes, steps, scale = (torch.cat(column) for column in zip(*parts, strict=True))
    return codes, steps, scale


def in_eight_bits(part: Int4Linear) -> Int8Linear:
    """The same numbers as a layer of 8 bits."""
    eights = part.weight.data.view(part.out_features, -1, 1, 4)
    codes = torch.cat((eights & 15, eights >> 4), 2).view(part.out_features, -1, GROUP).short() - 8
    step, middle = part.steps.data[..., :1].short(), part.steps.data[..., 1:].short()
    linear = Int8Linear(part.in_features, part.out_features, part.bias, part.weight.device)
    linear.weight.data = (codes * step + middle).to(torch.int8).flatten(1)[:, : part.in_features].contiguous()
    linear.scale.data = part.scale.data
    return linear


def joined_int4(parts: Sequence[Int4Linear]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Layers of the same input as one, `[rows, in]` to `[rows, out]`; the layers lose their weights.

    By the kernel where this machine has it; else in 8 bits, which gives the same product and takes twice the memory.
    """
    bias = None
    if any(part.bias is not None for part in parts):
        bias = torch.cat([part.scale.new_zeros(part.out_features) if part.bias is None else part.bias for part in parts])
    codes, steps, scale = (torch.cat([getattr(part, name).data for part in parts]) for name in ("weight", "steps", "scale"))
    made = kernel.of_quarters(codes, steps, parts[0].in_features, scale, bias) or joined_int8(
        [in_eight_bits(part) for part in parts]
    )
    for part in parts:
        part.weight.data = part.weight.data[:0].clone()
    return made


def in_torch(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same by torch: for each group the best of three widths, the one that spans it and its neighbours."""
    scale = rows.abs().amax(-1).clamp_(min=1e-30) / _MOST
    groups = pad(rows / scale[:, None], (0, -rows.shape[1] % GROUP)).view(len(rows), -1, GROUP)
    least, most = groups.aminmax(dim=-1, keepdim=True)
    spanning, middle = ((most - least) / 15).round_(), (least + most) / 2
    tries = [_rounded(groups, middle, (spanning + more).clamp_(1, _WIDEST)) for more in (0, -1, 1)]
    best = torch.stack([error for *_, error in tries]).argmin(0)
    codes, step, zero = tries[0][:3]
    for number, (other_codes, other_step, other_zero, _) in enumerate(tries):
        chosen = best == number
        codes, step, zero = (
            torch.where(chosen, new, old) for new, old in ((other_codes, codes), (other_step, step), (other_zero, zero))
        )
    eights = (codes + 8).to(torch.uint8).view(len(rows), -1, 2, 4)
    return (eights[:, :, 0] | eights[:, :, 1] << 4).flatten(1), torch.cat((step, zero), -1).to(torch.int8), scale


def _rounded(
    groups: torch.Tensor, middle: torch.Tensor, step: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes from -8 to 7 of the given step, the step, where 0 lies, and the squared error of each group."""
    zero = (middle + step / 2).round_()
    zero = torch.minimum(torch.maximum(zero, 8 * step - 128), 127 - 7 * step)
    shifted = groups - zero
    codes = (shifted / step).round_().clamp_(-8, 7)
    return codes, step, zero, torch.addcmul(shifted, codes, step, value=-1).square_().sum(-1, keepdim=True)
