"""What a run writes down while it trains: `metrics.jsonl` and TensorBoard's events.  A full disk costs them, not the run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.trainer import Step

METRICS = "metrics.jsonl"


class Records:
    """The files of a run, written to by rank 0 alone.

    `earlier`: steps that a run before this one took.  `warn` is told once what cannot be written.
    """

    def __init__(self, folder: Path, earlier: Sequence[Step], *, tensorboard: bool, warn: Callable[[str], None]) -> None:
        self._path = folder / METRICS
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

    def close(self) -> None:
        """Force what was written to the disk."""
        try:
            if self._events is not None:
                self._events.close()
        except OSError as error:
            self._lost(error)

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
    values = {
        "loss": taken.loss,
        "learning_rate": taken.learning_rate,
        "gradient_norm": taken.norm,
        "tokens_per_second": speed,
    }
    for name, value in values.items():
        events.add_scalar(f"train/{name}", value, taken.step)
    if taken.eval_loss is not None:
        events.add_scalar("eval/loss", taken.eval_loss, taken.step)
