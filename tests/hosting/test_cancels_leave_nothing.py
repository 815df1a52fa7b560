"""Promise 3 at the engine: cancels at random points, at most two tokens more after each, and no live KV cache after any."""

from __future__ import annotations

import random

from assistant.hosting.engine import EngineRequest, Finish, Piece
from tests.hosting.torch_streaming import engine, run
from tests.scale import rounds
from tests.tiny_models import tiny


def test_random_cancels_leave_no_live_cache() -> None:
    opened = engine(tiny("gpt_bigcode"), chunk=8)
    whole = run(engine(tiny("gpt_bigcode")), range(20, 50), 12).ids
    chance, most = random.Random(3), 0
    for _ in range(rounds(1000)):
        calls, asked, late = chance.randrange(20), 0, 0

        def cancelled(calls: int = calls) -> bool:
            nonlocal asked
            asked += 1
            return asked > calls

        start = chance.choice([20, 20, chance.randrange(20, 40)])  # often one whose beginning is known
        stream = opened.stream(EngineRequest(tuple(range(start, start + 30)), 12, frozenset()), cancelled)
        for item in stream:
            late += isinstance(item, Piece) and asked > calls
            if isinstance(item, Finish) or (asked > calls and chance.random() < 0.2):
                break  # the reader leaves, rather than hear the end
        stream.close()  # type: ignore[attr-defined]
        most = max(most, late)
        assert opened._running == 0, "the cache of a stream that is over counts as live"
    assert most <= 2
    assert run(opened, range(20, 50), 12).ids == whole
