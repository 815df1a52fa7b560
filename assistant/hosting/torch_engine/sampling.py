"""How the next tokens are drawn from logits."""

from __future__ import annotations

import torch

from assistant.hosting.engine import Sampling

# A nucleus lies nearly always within so many of the likeliest tokens; sorting a whole vocabulary takes longer than a step.
_LIKELIEST = 256


class Picker:
    """Draws tokens: greedily at temperature 0, else by nucleus sampling (Holtzman et al. 2020) with a generator of its own.

    The nucleus is the smallest set of likeliest tokens whose probabilities add up to `top_p`.  The n-th token of a reply is
    drawn with the n-th number of the generator, by inversion of the cumulative sum.  So a drafted token that equals the drawn
    one may be kept: this accepts it with its own probability and draws the others in proportion, as rejection sampling with a
    draft of one token does (Leviathan et al. 2023), and a seed gives the same reply with and without a draft.
    """

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._numbers: list[float] = []
        self._generator = torch.Generator()
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)

    def __call__(self, logits: torch.Tensor) -> list[int]:
        """One token for each row of `logits` (shape `[rows, vocabulary]`), as those that follow the tokens taken so far."""
        if self._sampling.temperature <= 0:
            greedy: list[int] = logits.argmax(dim=-1).tolist()
            return greedy
        missing = len(logits) - len(self._numbers)
        if missing > 0:
            self._numbers += torch.rand(missing, generator=self._generator).tolist()
        numbers = torch.tensor(self._numbers[: len(logits)], device=logits.device)
        probabilities = torch.softmax(logits.float() / max(self._sampling.temperature, 1e-5), dim=-1)
        drawn: list[int] = _drawn(probabilities, numbers, self._sampling.top_p).tolist()
        return drawn

    def take(self, count: int) -> None:
        """The first `count` of the tokens just drawn belong to the reply; the others were drawn in vain."""
        del self._numbers[:count]


def _drawn(probabilities: torch.Tensor, numbers: torch.Tensor, top_p: float) -> torch.Tensor:
    """A token for each row, shape `[rows]`; `numbers` are uniform in [0, 1)."""
    if top_p >= 1:
        return _inverted(probabilities.cumsum(dim=-1), numbers)
    ordered, ids = probabilities.topk(min(_LIKELIEST, probabilities.shape[-1]), dim=-1)
    # A GPU sorts sooner than it answers whether it must.
    if probabilities.device.type != "cpu" or bool((ordered.sum(dim=-1) < top_p).any()):
        ordered, ids = probabilities.sort(dim=-1, descending=True)
    cumulative = ordered.cumsum(dim=-1)
    outside = cumulative - ordered >= top_p
    outside[:, 0] = False
    places = _inverted(ordered.masked_fill(outside, 0).cumsum(dim=-1), numbers)
    return ids.gather(-1, places[:, None])[:, 0]


def _inverted(cumulative: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    # Not by torch.multinomial, which faults on numbers that are not finite, on a GPU for good.
    wanted = numbers[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, wanted, right=True)[:, 0].clamp(max=cumulative.shape[-1] - 1)
