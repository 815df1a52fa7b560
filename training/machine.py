"""The machine that a run uses: found, or described for a plan."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import UsageError

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Machine:
    """Ranks of one kind.

    device: the name of the GPU, or `cpu`.
    count: ranks in all, over `nodes`.
    memory_gib: memory of one GPU; of the host where ranks run on the CPU.
    peak_tflops: dense bf16 peak of one GPU; 0 where it is not known.
    host_gib: memory of one host; 0 where it is not known.
    dollars_per_hour: what a rank costs to rent, roughly; 0 where it is not known.
    """

    device: str
    count: int
    memory_gib: float
    peak_tflops: float = 0.0
    host_gib: float = 0.0
    dollars_per_hour: float = 0.0

    @property
    def is_cpu(self) -> bool:
        """Whether the ranks run on the CPU."""
        return self.device == "cpu"

    def __str__(self) -> str:
        return f"{self.count} CPU ranks" if self.is_cpu else f"{self.count} x {self.device} ({self.memory_gib:.0f} GiB)"


# name -> (memory in GiB, dense bf16 TFLOPS, dollars an hour): the makers' data sheets; prices as of late 2025, roughly.
_KNOWN = {
    "A100-80GB": (80, 312, 1.8),
    "A100-40GB": (40, 312, 1.3),
    "H100-80GB": (80, 989, 2.5),
    "H200-141GB": (141, 989, 3.2),
    "L4-24GB": (24, 121, 0.7),
    "L40S-48GB": (48, 362, 1.0),
    "A10-24GB": (24, 125, 0.8),
    "RTX4090-24GB": (24, 165, 0.4),
    "RTX3090-24GB": (24, 71, 0.25),
}


def describe(gpus: str) -> Machine:
    """The machine that the key `gpus` asks for: `auto`, `2`, `cpu:2` or `8xA100-80GB`.

    Raises:
        UsageError: it is none of these, or more GPUs are asked for than there are.
    """
    if match := re.fullmatch(r"(\d+)x(.+)", gpus):
        return _named(int(match[1]), match[2])
    if match := re.fullmatch(r"cpu(?::0*([1-9]\d*))?", gpus):
        return Machine("cpu", int(match[1] or 1), host_memory_gib(), host_gib=host_memory_gib())
    found = _found()
    if gpus == "auto":
        return found or Machine("cpu", min(2, os.cpu_count() or 1), host_memory_gib(), host_gib=host_memory_gib())
    if gpus.isdecimal() and int(gpus) > 0:
        if found and int(gpus) <= found.count:
            return Machine(found.device, int(gpus), found.memory_gib, found.peak_tflops, found.host_gib, found.dollars_per_hour)
        raise UsageError(f"gpus={gpus}, but {found.count if found else 0} were found.", "Use gpus=auto, or gpus=cpu:2.")
    raise UsageError(f"gpus={gpus} is not understood.", "Use auto, a number, cpu:2, or for a plan 8xA100-80GB.")


def host_memory_gib() -> float:
    """Memory of this host, in GiB; 0 where it cannot be told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    except (AttributeError, ValueError, OSError):
        return 0.0


def is_imagined(gpus: str) -> bool:
    """Whether `gpus` describes a machine for a plan rather than this one."""
    return re.fullmatch(r"\d+x.+", gpus) is not None


def _named(count: int, name: str) -> Machine:
    matches = [known for known in _KNOWN if known == name or known.startswith(f"{name}-")]
    if count < 1 or not matches:
        raise UsageError(f"The GPU {name!r} is not known here.", f"Use one of {', '.join(_KNOWN)}.")
    memory, peak, price = _KNOWN[matches[0]]
    return Machine(matches[0], count, memory, peak, 0.0, price)


def _found() -> Machine | None:
    """The GPUs that the driver lists; None where there are none."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [line.rsplit(",", 1) for line in out.splitlines() if "," in line]
    if not rows:
        return None
    name, memory = rows[0][0].strip(), float(rows[0][1]) / 1024
    peak, price = next(
        ((peak, price) for key, (_, peak, price) in _KNOWN.items() if key.split("-")[0] in name.replace(" ", "")), (0, 0)
    )
    return Machine(name, _visible(len(rows)), memory, peak, host_memory_gib(), price)


def _visible(found: int) -> int:
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return found if chosen is None else len([one for one in chosen.split(",") if one.strip()])


def disk_free_gib(folder: Path) -> float:
    """Free space at `folder` or its nearest existing parent, in GiB."""
    import shutil

    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / GIB
