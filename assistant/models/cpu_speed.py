"""How fast this machine's CPU computes in each number format: measured once by the torch engine, kept for all who ask."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from assistant import settings
from assistant.models.hardware import installed_torch

FORMATS = ("float32", "bfloat16", "int8", "int4")
"""What weights may be held in on a CPU."""

_FILE = "cpu-speed.json"


@dataclass(frozen=True, slots=True)
class CpuSpeed:
    """What was measured, in milliseconds for the same matrices: one token's and 64 tokens' products.

    machine: the processor, the number of threads and the torch that it holds for.
    step: milliseconds by format (`FORMATS`) when one token is computed.  batch: when 64 are.
    """

    machine: str
    step: dict[str, float]
    batch: dict[str, float]

    @property
    def fastest_float(self) -> str:
        """`float32` or `bfloat16`: the quicker one for a reply of 150 tokens to a prompt of 640."""
        return min(("float32", "bfloat16"), key=self.reply)

    def __str__(self) -> str:
        shown = {"float32": "fp32", "bfloat16": "bf16"}
        tokens = ", ".join(f"{shown.get(name, name)} {1 / took:.2f}" for name, took in self.step.items())
        prompts = ", ".join(f"{shown.get(name, name)} {64 / took:.1f}" for name, took in self.batch.items())
        quickest = min(self.step, key=self.reply)
        return f"tokens per ms of a test product: writing {tokens}; reading {prompts}; quickest {shown.get(quickest, quickest)}"

    def reply(self, name: str) -> float:
        """Milliseconds for the products of a reply of 150 tokens to a prompt of 640."""
        return 150 * self.step[name] + 10 * self.batch[name]


def engine_threads(wanted: int | None, cores: int) -> int:
    """Threads of the torch engine: `wanted`, or all cores but one, since every engine collapses when it spins on busy cores."""
    return wanted or max(1, cores - 1)


def machine(threads: int) -> str:
    """What a measurement holds for."""
    torch = installed_torch()
    return f"{_processor()}, {threads} threads, torch {torch.version if torch else 'none'}"


def kept(threads: int | None = None) -> CpuSpeed | None:
    """The measurement that was kept for this machine with so many threads (None: with any), if there is one."""
    try:
        raw = json.loads(_path().read_text(encoding="utf-8"))
        speed = CpuSpeed(str(raw["machine"]), dict(raw["step"]), dict(raw["batch"]))
        sound = {*speed.step} == {*speed.batch} == {*FORMATS}
        numbers = all(isinstance(value, float) and value > 0 for value in (*speed.step.values(), *speed.batch.values()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return speed if sound and numbers and (threads is None or speed.machine == machine(threads)) else None


def keep(speed: CpuSpeed) -> None:
    """Keep a measurement; where that cannot be done, it is made again next time."""
    path = _path()
    try:
        settings.private_folder(path.parent)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(asdict(speed), indent=1), encoding="utf-8")
        draft.replace(path)
    except OSError:
        return


def _path() -> Path:
    return settings.home() / _FILE


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
