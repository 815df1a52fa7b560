"""What stands between the attention of one layer and the next: norms and the layers of a perceptron, as functions of rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import layer_norm

Map = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """To a mean of 0 and a variance of 1, then by `weight` and `bias`."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    epsilon: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


@dataclass(frozen=True, slots=True)
class RootMeanSquare:
    """`x / sqrt(mean(x²) + epsilon) · weight` by way of the length of `x`, which is half as many calls as torch's own."""

    weight: torch.Tensor
    epsilon: float
    scaled: torch.Tensor
    least: torch.Tensor

    @staticmethod
    def of(weight: torch.Tensor, epsilon: float) -> RootMeanSquare:
        """The norm of so many numbers as `weight` has."""
        size = len(weight)
        return RootMeanSquare(weight, epsilon, weight * math.sqrt(size), weight.new_tensor(math.sqrt(size * epsilon)))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return (x * self.scaled).div_(torch.hypot(length, self.least))


@dataclass(frozen=True, slots=True)
class Perceptron:
    """`down(act(up(x)))`, or `down(act(gate) · up)` where `up` yields both side by side.

    name: of the activation, as a model's configuration has it.
    """

    up: Map
    down: Map
    act: Map
    name: str
    gated: bool

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if not self.gated:
            return self.down(self.act(self.up(x)))
        gate, up = self.up(x).chunk(2, -1)
        return self.down(self.act(gate).mul_(up))
