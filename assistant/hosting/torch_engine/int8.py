"""Linear layers in 8 bits for the CPU: weights and activations are integers, and so is the product.

Weights have one scale for each output channel, activations one for each token (vector-wise quantisation: Dettmers et al. 2022,
without their float outliers).  The integer product is exact, so that a layer's result for a token does not depend on which
tokens are computed beside it.  Attention in between is exact in that sense where it is computed `alone` (see `network`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import nn

from assistant.hosting.torch_engine import kernel

_MOST = 127
_AT_ONCE = 256  # rows of a weight that are rounded at a time: their floats stay in the processor's cache


class Int8Linear(nn.Module):
    """`x W^T + b` with an int8 `weight` `[out, in]` and a float32 `scale` `[out]`; floats in and out."""

    def __init__(self, inputs: int, outputs: int, bias: torch.Tensor | None, device: torch.device) -> None:
        super().__init__()
        self.in_features, self.out_features = inputs, outputs
        weight = torch.empty(outputs, inputs, dtype=torch.int8, device=device)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.scale = nn.Parameter(torch.empty(outputs, dtype=torch.float32, device=device), requires_grad=False)
        self.bias = bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[…, in]` to `[…, out]`."""
        rows, scale = quantised(x.reshape(-1, self.in_features))
        scale = scale[:, None]
        product = torch._int_mm(rows, self.weight.t()).to(x.dtype).mul_(self.scale)
        out = product.mul_(scale) if self.bias is None else torch.addcmul(self.bias, product, scale)
        return out.view(*x.shape[:-1], self.out_features)


def of_weight(weight: torch.Tensor, bias: torch.Tensor | None) -> Int8Linear:
    """The layer of a float `weight`, shape `[out, in]`."""
    linear = Int8Linear(weight.shape[1], weight.shape[0], bias, weight.device)
    linear.weight.data, linear.scale.data = quantised(weight)
    return linear


def quantised(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each row as int8, and its scale, shape `[rows]`."""
    integers = torch.empty(rows.shape, dtype=torch.int8, device=rows.device)
    scale = torch.empty((len(rows), 1), dtype=torch.float32, device=rows.device)
    for place in range(0, len(rows), _AT_ONCE):
        part = rows[place : place + _AT_ONCE].float()
        step = _largest(part) / _MOST
        scale[place : place + _AT_ONCE] = step
        integers[place : place + _AT_ONCE] = torch.div(part, step).round_()
    return integers, scale[:, 0]


def joined_int8(parts: Sequence[Int8Linear]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Layers of the same input as one, `[rows, in]` to `[rows, out]`, by the quickest product that this machine has.

    Where weights are packed for it, the layers lose theirs, so that these are held once.
    """
    weight = torch.cat([part.weight for part in parts]) if len(parts) > 1 else parts[0].weight.data
    scale = torch.cat([part.scale for part in parts])
    biases = [part.bias if part.bias is not None else part.scale.new_zeros(part.out_features) for part in parts]
    bias = None if all(part.bias is None for part in parts) else torch.cat(biases)
    packed = kernel.of_eighths(weight, scale, bias) or (_packed(weight, scale, bias) if _suits_fbgemm() else None)
    if packed is None:
        return _whole(weight, scale, bias)
    for part in parts:
        part.weight.data = part.weight.data[:0].clone()
    return packed


def product_name() -> str:
    """Which product `joined_int8` takes here."""
    if kernel.available():
        return f"own product {kernel.version()}"
    return "FBGEMM" if _suits_fbgemm() else "torch"


def _whole(weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> Int8Linear:
    joined = Int8Linear(weight.shape[1], weight.shape[0], bias, weight.device)
    joined.weight.data, joined.scale.data = weight, scale
    return joined


def _packed(weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> Callable[[torch.Tensor], torch.Tensor]:
    """By FBGEMM, whose packed weights are read from end to end: 1.4 times as fast as `_int_mm` for one row."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quantised tensors are on their way out; the version of torch is pinned
        tensor = torch._make_per_channel_quantized_tensor(weight, scale.double(), torch.zeros(len(scale), dtype=torch.long), 0)
    held = torch.ops.quantized.linear_prepack(tensor, None)
    product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default

    def linear(x: torch.Tensor) -> torch.Tensor:
        largest = _largest(x)
        out: torch.Tensor = product(x / largest, 1 / _MOST, _MOST + 1, held)
        return out.mul_(largest) if bias is None else torch.addcmul(bias, out, largest)

    return linear


def _suits_fbgemm() -> bool:
    """Without VNNI instructions, FBGEMM adds pairs of products up in 16 bits, which they may not fit."""
    return "fbgemm" in torch.backends.quantized.supported_engines and torch.cpu._is_vnni_supported()


def _largest(rows: torch.Tensor) -> torch.Tensor:
    """The largest absolute value of each row, shape `[rows, 1]`; never 0, since it is divided by."""
    return rows.abs().amax(dim=-1, keepdim=True).clamp_(min=1e-30)
