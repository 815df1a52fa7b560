"""What the user sees while a run trains: one line."""

from __future__ import annotations

import shutil
import sys
from collections import deque
from dataclasses import dataclass, field
from typing import Any, TextIO

from training.machine import GIB, Machine
from training.trainer import Step

# A bar stands before the line where a terminal has room for both.
_BAR, _WIDE = 20, 120


@dataclass(slots=True)
class Progress:
    """The line on the terminal.

    steps: steps of the run.  flops_per_token: of forward and backward pass, see `plan.flops_per_token`.
    """

    steps: int
    machine: Machine
    flops_per_token: float
    out: TextIO = field(default_factory=lambda: sys.stderr)
    _recent: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=20))

    def show(self, taken: Step, memory_gib: float) -> None:
        """Print the state after a step; on a terminal in place, else a line every few steps."""
        self._recent.append((taken.tokens, taken.seconds))
        line = self._line(taken, memory_gib)
        ending = f"  eval {taken.eval_loss:.4f}" if taken.eval_loss is not None else ""
        if self.out.isatty():
            # A line that wraps could not be written over; what counts most stands first.
            columns = shutil.get_terminal_size().columns
            line = f"{_bar(taken.step, self.steps)}  {line}" if columns >= _WIDE else line
            room = columns - 1 - len(ending)
            done = "\n" if ending or taken.step == self.steps else ""
            self.out.write(f"\r\x1b[K{line[:room]}{ending}{done}")
        elif ending or taken.step % max(1, self.steps // 20) == 0 or taken.step == self.steps:
            self.out.write(f"{line}{ending}\n")
        self.out.flush()

    def tokens_per_second(self) -> float:
        """Content tokens a second over the last steps."""
        return sum(tokens for tokens, _ in self._recent) / max(1e-9, sum(seconds for _, seconds in self._recent))

    def _seconds(self) -> float:
        return sum(seconds for _, seconds in self._recent) / max(1, len(self._recent))

    def _line(self, taken: Step, memory_gib: float) -> str:
        speed = self.tokens_per_second()
        share = mfu(speed, self.flops_per_token, self.machine)
        parts = [f"step {taken.step}/{self.steps}", f"loss {taken.loss:.4f}", f"{speed:,.0f} tok/s"]
        parts += [f"MFU {share:.0%}"] if share is not None else []
        parts += [f"ETA {_clock((self.steps - taken.step) * self._seconds())}", f"mem {memory_gib:.1f} GiB"]
        return "  ".join([*parts, f"lr {taken.learning_rate:.2e}"])


def mfu(tokens_per_second: float, flops_per_token: float, machine: Machine) -> float | None:
    """Model FLOPs utilisation (Chowdhery et al., PaLM, 2022, appendix B); None where the peak is not known."""
    peak = machine.count * machine.peak_tflops * 1e12
    return tokens_per_second * flops_per_token / peak if peak else None


def memory_gib(device: Any) -> float:  # noqa: ANN401 - a torch.device, not imported here
    """The most memory that this rank has held, in GiB: of its GPU, or of the process on the CPU."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_reserved(device) / GIB
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _bar(done: int, steps: int) -> str:
    filled = round(_BAR * done / max(1, steps))
    return "█" * filled + "░" * (_BAR - filled)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
