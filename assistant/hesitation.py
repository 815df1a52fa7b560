"""Where a model hesitated while it wrote code, and how what it nearly wrote instead begins.

A model that copies a faulty line is often not sure of it: at the place of the bug, the right token has a good share of the
probability.  A reply that begins like the first one up to there, and has the other token next, costs only its rest.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import exp, log

from assistant.comments import silent_spans
from assistant.languages import Language
from assistant.wire import Token

ALTERNATIVES = 5
"""Likeliest tokens that are asked for at each place."""

LEAST = log(0.02)
"""What is less likely is no hesitation."""

_SURE = -1e-6
_WIDEST = 8
"""Characters in a row that may be missing between tokens, since each was cut into several."""

_BLANK_LINES = re.compile(r"[ \t\r]*\n(?:[ \t]*\n)*")
_QUOTES = ('"""', "'''")


@dataclass(frozen=True, slots=True)
class Beginning:
    """The code that a reply is to begin with; `logprob` is that of the token it ends in, given those before (natural)."""

    text: str = ""
    logprob: float = 0.0

    @property
    def percent(self) -> int:
        """How likely the model found it."""
        return round(100 * exp(self.logprob))


NOTHING = Beginning()


@dataclass
class Hesitations:
    """Beginnings that have not been tried yet, the likeliest first, and each only once."""

    _waiting: list[tuple[float, int, Beginning]] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def add(self, beginnings: Sequence[Beginning]) -> None:
        """Take more of them in."""
        for one in beginnings:
            if one.text not in self._seen:
                self._seen.add(one.text)
                heappush(self._waiting, (-one.logprob, len(self._seen), one))

    def next(self, least: float = LEAST) -> Beginning | None:
        """The likeliest one, which is taken out; None where its log-probability is less than `least`."""
        return heappop(self._waiting)[2] if self._waiting and -self._waiting[0][0] >= least else None


def beginnings(begun: str, tokens: Sequence[Token], code: str, language: Language) -> tuple[Beginning, ...]:
    """What could have stood in the place of each token of `code`, which begins with `begun` and goes on with `tokens`.

    Alternatives that differ in white space alone, or only begin a comment, are left out, as is what stands in comments.
    """
    spans = silent_spans(code, language)
    found = (
        Beginning(code[:start] + text, min(logprob, _SURE))
        for start, token in _placed(begun, tokens, code)
        if not _within(start, spans)
        for text, logprob in _others(token, code[start:], language)
    )
    return tuple(sorted(found, key=lambda one: -one.logprob))


def _placed(begun: str, tokens: Sequence[Token], code: str) -> Iterator[tuple[int, Token]]:
    """The tokens with their places in the code; characters that are cut into several tokens are passed over."""
    place, end = len(begun), len(code.rstrip())
    if not code.startswith(begun) or "\r" in code:
        return
    for token in tokens:
        if "\ufffd" in token.text:
            continue
        following = code[place:]
        if not following.startswith(token.text) and not token.text.startswith(following):
            place = code.find(token.text, place, place + len(token.text) + _WIDEST)
        if not 0 <= place < end:
            return
        yield place, token
        place += len(token.text)


def _others(token: Token, following: str, language: Language) -> Iterator[tuple[str, float]]:
    for text, logprob in token.top:
        if text and logprob >= LEAST and text != token.text and _matters(text, token.text, following, language):
            yield text, logprob


def _matters(text: str, token: str, following: str, language: Language) -> bool:
    """Whether a reply that has `text` in place of `token`, and of what follows with it, can be other code.

    A text is cut into as long tokens as there are: a shorter one means that something else will follow.
    """
    if "\ufffd" in text or "```" in text or text.lstrip().startswith((*language.comments, *_QUOTES)):
        return False
    if _normal(text) == _normal(token):
        return False
    shorter, indentation = token.startswith(text), not text.strip() and "\n" not in text
    return shorter or indentation or not _normal(following).startswith(_normal(text))


def _normal(text: str) -> str:
    return _BLANK_LINES.sub("\n", text)


def _within(place: int, spans: Sequence[tuple[int, int]]) -> bool:
    index = bisect_right(spans, (place, place)) - 1
    return any(start <= place < end for start, end in spans[max(0, index) : index + 2])
