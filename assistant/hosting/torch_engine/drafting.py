"""Copy drafting: the next tokens guessed from the user's own text, so that one forward pass yields many.

An edit repeats most of what it changes.  The tokens that followed the longest match of the reply's end, in the predicted text
or in the prompt and the reply itself, are the draft (prompt lookup: Saxena 2023; Yang et al. 2023); the model verifies it in
one pass.  How long a draft may be depends on the match and on how the last ones fared, and a budget bounds what wrong drafts
may cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

LADDER = (8, 16, 32, 64)
"""Lengths of drafts; a plain step is 1."""

# Plain steps that wrong drafts may cost: at first, with a prediction at first, and more for every token of the reply.
_ALLOWED, _ALLOWED_PREDICTED, _ALLOWED_PER_TOKEN = 0.6, 3.0, 0.015
_MOST_ALLOWED = 9.0

_LONGEST_MATCH = 64
_PLACES = 32  # of one pair that are looked at; a pair such as two blanks stands everywhere
_SHORTEST_IN_PROMPT = 3
_NEARBY = 24  # tokens within which a prediction is taken up again after a change


@dataclass(slots=True)
class Source:
    """A text to copy from, indexed by pairs of neighbouring tokens."""

    ids: list[int] = field(default_factory=list)
    _after: dict[tuple[int, int], list[int]] = field(default_factory=dict)

    def extend(self, ids: Iterable[int]) -> None:
        """Append to the text."""
        for token in ids:
            if len(self.ids) >= 2:
                self._after.setdefault((self.ids[-2], self.ids[-1]), []).append(len(self.ids))
            self.ids.append(token)

    def find(self, tail: Sequence[int], near: int) -> tuple[int, int]:
        """The place after the longest match of the end of `tail`, and its length, at least 2 (0: there is none).

        Among equally long ones the first from `near` on, else the last.
        """
        places = self._after.get((tail[-2], tail[-1]), []) if len(tail) >= 2 else []
        scored = ((self._match(tail, place), place >= near, -abs(place - near), place) for place in places[-_PLACES:])
        length, _, _, place = max(scored, default=(0, False, 0, 0))
        return place, length

    def _match(self, tail: Sequence[int], place: int) -> int:
        most = min(len(tail), place, _LONGEST_MATCH)
        length = 2
        while length < most and self.ids[place - length - 1] == tail[-length - 1]:
            length += 1
        return length


class CopyDraft:
    """Drafts for one reply.  `price`: what verifying one drafted token costs, in plain steps."""

    def __init__(self, prompt: Sequence[int], prediction: Sequence[int], price: float) -> None:
        self._prediction, self._history = Source(), Source()
        self._prediction.extend(prediction)
        self._history.extend(prompt)
        self._price = price
        self._place = 0
        self._trust = 0
        self._allowed = _ALLOWED_PREDICTED if prediction else _ALLOWED

    def extend(self, tokens: Sequence[int], accepted: int, rejected: int) -> None:
        """`tokens` came next; of the draft before, so many were right and wrong."""
        self._history.extend(tokens)
        drafted = accepted + rejected
        self._allowed += _ALLOWED_PER_TOKEN * len(tokens) + accepted - self._price * drafted
        self._allowed = min(self._allowed, _MOST_ALLOWED)
        if drafted:
            self._place += accepted + 1
            better = not rejected
            worse = accepted < drafted // 2
            self._trust = min(max(self._trust + better - worse, 0), len(LADDER) - 1)

    def propose(self, most: int) -> tuple[int, ...]:
        """The next draft, of at most `most` tokens; empty where none is likely enough to be worth its cost."""
        ids = self._history.ids
        source, place, length = self._prediction, *self._in_prediction()
        if length:
            self._place = place
            rung = max(self._trust, _rung(length))
        else:
            source, (place, length) = self._history, self._history.find(ids, len(ids))
            rung = min(self._trust + 1, _rung(length))
            if length < _SHORTEST_IN_PROMPT:
                return ()
        affordable = [size for size in LADDER[: rung + 1] if size * self._price <= self._allowed]
        return tuple(source.ids[place : place + min(most, affordable[-1])]) if affordable and most > 0 else ()

    def _in_prediction(self) -> tuple[int, int]:
        """Where the prediction goes on, and how well what was generated speaks for it (0: not at all)."""
        ids = self._history.ids
        place, length = self._prediction.find(ids, self._place)
        if length:
            return place, length
        nearby = self._prediction.ids[self._place : self._place + _NEARBY]
        return (self._place + nearby.index(ids[-1]) + 1, 1) if ids[-1] in nearby else (0, 0)


def _rung(length: int) -> int:
    """The rung of the ladder that a match of this length deserves."""
    return sum(length >= needed for needed in (4, 12, 32))
