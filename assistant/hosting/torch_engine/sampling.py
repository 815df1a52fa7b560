"""How the next token is drawn from the logits of the last position."""

from __future__ import annotations

from collections.abc import Callable

import torch

from assistant.hosting.engine import Sampling

Picker = Callable[[torch.Tensor], int]


def picker(sampling: Sampling) -> Picker:
    """A function from logits (shape `[vocabulary]`) to a token id.

    Greedy at temperature 0.  Otherwise nucleus sampling (Holtzman et al. 2020): the smallest set of likeliest tokens whose
    probabilities add up to `top_p`, drawn from in proportion, with a generator of its own, so that a seed repeats a reply.
    """
    if sampling.temperature <= 0:
        return lambda logits: int(logits.argmax())
    generator = torch.Generator()
    if sampling.seed is None:
        generator.seed()
    else:
        generator.manual_seed(sampling.seed)
    return lambda logits: _draw(logits, sampling, generator)


def _draw(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    # By inversion of the cumulative sum: torch.multinomial faults on numbers that are not finite, on a GPU for good.
    scaled = logits.float().cpu() / max(sampling.temperature, 1e-5)
    ordered, ids = torch.softmax(scaled, dim=-1).sort(descending=True)
    cumulative = ordered.cumsum(dim=-1)
    kept = int((cumulative - ordered < sampling.top_p).sum().clamp(min=1))
    drawn = torch.rand(1, generator=generator) * cumulative[kept - 1]
    return int(ids[int(torch.searchsorted(cumulative[:kept], drawn, right=True).clamp(max=kept - 1))])
