"""How quick an answer is: `make bench-ask` prints each figure beside its goal and keeps them in `bench/ask.json`.

Everything runs in a home of its own, so that hosts of yours are left alone.  Medians; the model's file is in the page cache.
Times hold for this machine as it is now: the spin loop, first and last, says how fast that is and whether it changed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from assistant.errors import AssistantError
from assistant.models.prepare import prepare
from assistant.models.spec import ModelSpec
from assistant.settings import Settings
from benchmarks.figures import Figure, Goal, keep, median, spin_loop
from benchmarks.processes import Run, at_once, good
from benchmarks.turns import TOPICS, added_to_first_token, computed_again

SMALL, TINY = "qwen2.5-coder-0.5b", "smollm2-135m"
KEPT = Path("bench") / "ask.json"

SPIN = Goal("spin loop, 1,000,000 steps", None, "ms")
HELP = Goal("assistant --help", 150, "ms")
MEMORY = Goal("front end's peak memory, `assistant ask` at a warm host", 60, "MB")
ADDED = Goal("added to the first token by client and host", 50, "ms")
WARM = Goal(f"first token from process start, warm host, {SMALL}", 1, "s")
COLD = Goal(f"first token from process start, no host, {SMALL}", 3, "s")
AGAIN = Goal("prompt tokens of a second turn computed although not new", 4, "tokens")
SERVED = Goal("clients served of 8 at once", 8, "", at_most=False)
WAITS = Goal("the longest of these waits for its first token", None, "s")


def main() -> int:
    """Measure everything, print it and keep it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        os.environ["STARCHAT_HOME"] = home
        figures = []
        try:
            for figure in _measure(_ready(SMALL), _ready(TINY)):
                print(figure, flush=True)
                figures.append(figure)
        except AssistantError as error:
            print(f"bench-ask: {error}", file=sys.stderr)
            return error.exit_code
        finally:
            good("stop", "--all", "-y")
    keep(figures, KEPT)
    missed = sum(figure.met is False for figure in figures)
    print(f"{len(figures) - missed} of {len(figures)} met or for reference; kept in {KEPT}")
    return 0


def _measure(small: ModelSpec, tiny: ModelSpec) -> Iterator[Figure]:
    yield median(SPIN, [spin_loop() for _ in range(3)], "before")
    yield median(HELP, _repeat(10, lambda _: good("--help").whole * 1000), "after 2 warm-up starts")
    yield median(COLD, _repeat(3, _cold, warm_up=0), "file in the page cache")
    yield median(WARM, _repeat(5, lambda number: _asked(number).first), "after 2 warm-up questions; each question is new")
    yield median(MEMORY, _repeat(3, _memory, warm_up=0))
    yield from _crowd()
    yield median(AGAIN, [computed_again(small)], small.name)
    good("stop", "--all", "-y")
    yield median(ADDED, added_to_first_token(tiny, 15), f"{tiny.name}, paired with the engine alone; after 1 warm-up")
    yield median(SPIN, [spin_loop() for _ in range(3)], "after")


def _ready(name: str) -> ModelSpec:
    """The model, fetched in the ordinary way where it is not here yet: `assistant models pull` asks first."""
    try:
        return prepare(Settings(model=name), consent=lambda _: False, report=lambda _: None)
    except AssistantError:
        os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-P", "-m", "assistant.cli", "models", "pull", name])
        return prepare(Settings(model=name), consent=lambda _: False, report=lambda _: None)


def _repeat(times: int, measure: Callable[[int], float], warm_up: int = 2) -> list[float]:
    return [measure(number) for number in range(-warm_up, times)][warm_up:]


def _question(number: int) -> tuple[str, ...]:
    """A short question that has not been asked before."""
    topic = TOPICS[number % len(TOPICS)]
    return ("ask", "-m", SMALL, "--max-tokens", "8", f"Number {number}: what are {topic} in Python?")


def _asked(number: int) -> Run:
    return good(*_question(number))


def _cold(number: int) -> float:
    good("stop", "--all", "-y")
    return _asked(100 + number).first


def _memory(number: int) -> float:
    return good(*_question(200 + number), watch_memory=True).peak


def _crowd() -> Iterator[Figure]:
    ended = at_once([_question(300 + number) for number in range(8)])
    served = sum(run.status == 0 for run in ended)
    yield Figure(SERVED, served, 1, (served, served), "; ".join({run.errors for run in ended if run.status != 0}))
    waits = [run.first for run in ended]
    yield Figure(WAITS, max(waits), 8, (min(waits), max(waits)), "8 tokens each, one slot")


if __name__ == "__main__":
    sys.exit(main())
