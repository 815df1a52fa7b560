"""What a run writes down as it trains: `metrics.jsonl`, TensorBoard's events, trackers.  A full disk costs these alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.reasons import brief
from training.trainer import Step

METRICS = "metrics.jsonl"


class Records:
    """The files of a run, written to by rank 0 alone.

    `earlier`: steps that a run before this one took.  `trackers`: as of `trackers.begin`.  `warn` is told once what cannot be
    written, and of each tracker that fails.
    """

    def __init__(
        self,
        folder: Path,
        earlier: Sequence[Step],
        *,
        tensorboard: bool,
        warn: Callable[[str], None],
        trackers: Sequence[Any] = (),
    ) -> None:
        self._path = folder / METRICS
        self._say = warn
        self._trackers = list(trackers)
        self._warn: Callable[[str], None] | None = warn
        self._events: Any = None
        rewrite(self._path, earlier)
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            writer: Any = SummaryWriter
            # Events of steps that are taken again would be drawn a second time.
            self._events = writer(str(folder / "tensorboard"), purge_step=len(earlier) + 1 if earlier else None)

    def add(self, taken: Step, speed: float) -> None:
        """Write one step; `speed` in content tokens a second."""
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line(taken))
            if self._events is not None:
                _to_events(self._events, taken, speed)
        except OSError as error:
            self._lost(error)
        self._each_tracker(lambda tracker: tracker.log(_values(taken, speed), step=taken.step))

    def close(self) -> None:
        """Force what was written to the disk."""
        self._each_tracker(lambda tracker: tracker.finish())
        try:
            if self._events is not None:
                self._events.close()
        except OSError as error:
            self._lost(error)

    def _each_tracker(self, action: Callable[[Any], None]) -> None:
        for tracker in list(self._trackers):
            try:
                action(tracker)
            except Exception as error:
                # Other people's packages and services: whatever goes wrong there is worth a line, and not the run.
                self._trackers.remove(tracker)
                self._say(f"The tracker {tracker.name} failed: {brief(error)}. The run goes on without it.")

    def _lost(self, error: OSError) -> None:
        if self._warn:
            self._warn(f"{self._path} or the events beside it cannot be written: {error}. The run goes on. Free space.")
        self._warn = None


def rewrite(path: Path, steps: Sequence[Step]) -> None:
    """Have the file hold those steps and no others; whole or as it was, whenever the process ends."""
    aside = path.with_name(f".{path.name}.partial")
    aside.write_text("".join(map(_line, steps)), encoding="utf-8")
    aside.replace(path)


def read(path: Path, up_to: int) -> list[Step]:
    """The steps of a file up to number `up_to`; lines that a crash or a full disk cut off are passed over."""
    found: dict[int, Step] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            raw = json.loads(line)
            plain: dict[str, Any] = raw | {key: math.nan for key in ("loss", "norm") if raw[key] is None}
            step = Step(**plain)
        except (ValueError, TypeError, KeyError):
            continue
        if step.step <= up_to:
            found[step.step] = step
    return [found[number] for number in sorted(found)]


def _line(taken: Step) -> str:
    """One JSON object; what is not a number is null."""
    plain = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in asdict(taken).items()
    }
    return json.dumps(plain) + "\n"


def _to_events(events: Any, taken: Step, speed: float) -> None:  # noqa: ANN401 - TensorBoard's writer
    for name, value in _values(taken, speed).items():
        events.add_scalar(name, value, taken.step)


def _values(taken: Step, speed: float) -> dict[str, float]:
    values = {
        "train/loss": taken.loss,
        "train/learning_rate": taken.learning_rate,
        "train/gradient_norm": taken.norm,
        "train/tokens_per_second": speed,
    }
    return values if taken.eval_loss is None else values | {"eval/loss": taken.eval_loss}
