"""When a reply is over although the model has not said so: stop texts, and loops.

Both are frozen values that take in what is new and answer with their successor, so that they can be tested by cutting a
reply at any place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal

from assistant.hosting.engine import Engine, EngineRequest, Finish, Piece

LONGEST_PERIOD = 256
_REPEATS = 8
_RICH_TOKENS, _POOR_TOKENS = 256, 1024
_RICH_KINDS = 8


def stream(
    engine: Engine, request: EngineRequest, stop_texts: tuple[str, ...], cancelled: Callable[[], bool]
) -> Iterator[Piece | Finish]:
    """`engine.stream`, ended before any of `stop_texts` and in a loop; usage counts what the engine really generated."""
    ended: Literal["stop", "loop"] | None = None
    stops, loops = StopTexts(stop_texts), LoopGuard(allowed=request.prediction)
    with closing(engine.stream(request, lambda: ended is not None or cancelled())) as items:  # type: ignore[type-var]  # engines yield from generators
        for item in items:
            if isinstance(item, Finish):
                yield Piece("" if ended else stops.held, ())
                yield replace(item, reason=ended) if ended and not cancelled() else item
                return
            if ended:
                continue
            stops, loops = stops.after(item.text), loops.after(item.ids)
            ended = "stop" if stops.hit else "loop" if loops.looping else None
            if stops.ready or item.ids:
                yield Piece(stops.ready, item.ids, item.scores)


@dataclass(frozen=True, slots=True)
class StopTexts:
    """Holds back what could be the beginning of a stop text until it is clear whether it is one.

    ready: text that the last step released.
    held: text that is kept back; it belongs to the reply if nothing follows.
    hit: a stop text came; it and all after it is gone.
    """

    stops: tuple[str, ...]
    ready: str = ""
    held: str = ""
    hit: bool = False

    def after(self, text: str) -> StopTexts:
        """The state once `text` has come too."""
        if self.hit:
            return replace(self, ready="")
        text = self.held + text
        found = [place for place in (text.find(stop) for stop in self.stops) if place >= 0]
        if found:
            return replace(self, ready=text[: min(found)], held="", hit=True)
        cut = len(text) - _overhang(text, self.stops)
        return replace(self, ready=text[:cut], held=text[cut:])


def _overhang(text: str, stops: Sequence[str]) -> int:
    """How many characters at the end of `text` begin a stop text."""
    longest = min(len(text), max((len(stop) for stop in stops), default=1) - 1)
    return next((size for size in range(longest, 0, -1) if any(stop.startswith(text[-size:]) for stop in stops)), 0)


@dataclass(frozen=True, slots=True)
class LoopGuard:
    """Recognises a tail of token ids that repeats one block, of up to 256 ids, over and over.

    The rule: the block has come at least 8 times without a difference, and the repetition is at least 256 tokens long, or
    1,024 where the block has fewer than 8 different ids.  The second figure spares tables of zeros, rulers and runs of
    blanks, which code does contain; the first spares a dozen equal lines.  A repetition that also stands in `allowed` (the
    predicted text of an edit) is the user's own and no loop.

    runs: for each period p, how many ids in a row equalled the id p places before; `runs[p - 1]` belongs to p.
    """

    allowed: tuple[int, ...] = ()
    tail: tuple[int, ...] = ()
    runs: tuple[int, ...] = ()
    looping: bool = False

    def after(self, ids: Sequence[int]) -> LoopGuard:
        """The state once `ids` have come too."""
        tail, runs = list(self.tail), list(self.runs)
        looping = self.looping
        for token in ids:
            runs = [run + 1 if before == token else 0 for run, before in zip(runs, reversed(tail), strict=True)]
            tail.append(token)
            runs.append(0)
            if len(runs) > LONGEST_PERIOD:
                del tail[0], runs[-1]
            looping = looping or (max(runs) >= _RICH_TOKENS * 7 // 8 and self._is_loop(tail, runs))
        return replace(self, tail=tuple(tail), runs=tuple(runs), looping=looping)

    def _is_loop(self, tail: list[int], runs: list[int]) -> bool:
        # The longest run belongs to the shortest period: every multiple of a period starts to count later.
        run = max(runs)
        period = runs.index(run) + 1
        block = tuple(tail[-period:])
        length = run + period
        needed = _RICH_TOKENS if len(set(block)) >= _RICH_KINDS else _POOR_TOKENS
        return length >= max(needed, _REPEATS * period) and not _contains(self.allowed, block * 2)


def _contains(ids: Sequence[int], part: tuple[int, ...]) -> bool:
    return any(tuple(ids[place : place + len(part)]) == part for place in range(len(ids) - len(part) + 1))
