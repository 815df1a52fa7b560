"""What this machine has: cores, memory, GPUs, and which torch is installed; found out without importing torch."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_PATIENCE = 5.0
"""Seconds that `nvidia-smi` may take; a wedged driver makes it hang."""

_QUERY = "index,name,memory.total,memory.free,driver_version"
_NVIDIA = "0x10de"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU; memory in bytes."""

    index: int
    name: str
    total: int
    free: int
    driver: str


@dataclass(frozen=True, slots=True)
class Torch:
    """The installed torch.  `cuda`: whether this build can use an NVIDIA GPU;  `bitsandbytes`: whether that is there, too."""

    version: str
    cuda: bool
    bitsandbytes: bool


@dataclass(frozen=True, slots=True)
class Hardware:
    """The machine, as far as it matters to the choice of a model.

    cores: that this process may use.  memory, free_memory: bytes of RAM, within the limits of a container.
    gpu_problem: why an NVIDIA GPU that is there cannot be used, in a sentence; empty where there is no such thing.
    metal: whether this is an Apple machine with a GPU of its own.
    """

    cores: int
    memory: int
    free_memory: int
    gpus: tuple[Gpu, ...] = ()
    gpu_problem: str = ""
    metal: bool = False
    torch: Torch | None = None


def probe() -> Hardware:
    """Look at this machine; takes milliseconds, and at most a few seconds where a driver hangs."""
    gpus, problem = _nvidia()
    total, free = _memory()
    metal = sys.platform == "darwin" and platform.machine() == "arm64"
    return Hardware(_cores(), total, free, gpus, problem, metal, installed_torch())


def installed_torch() -> Torch | None:
    """Which torch is installed, read from its files; None where there is none."""
    try:
        found = importlib.metadata.distribution("torch")
    except importlib.metadata.PackageNotFoundError:
        return None
    try:
        declared = Path(str(found.locate_file("torch/version.py"))).read_text(encoding="utf-8")
    except OSError:
        declared = ""
    cuda = re.search(r"^cuda\b[^=\n]*=\s*['\"]", declared, re.MULTILINE) is not None
    return Torch(found.version, cuda, package_version("bitsandbytes") is not None)


def package_version(name: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _nvidia() -> tuple[tuple[Gpu, ...], str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return (), "an NVIDIA GPU is there, but its driver is not installed" if _on_the_bus() else ""
    command = [program, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False, errors="replace")
    except subprocess.TimeoutExpired:
        return (), f"nvidia-smi did not answer within {_PATIENCE:.0f} seconds"
    except OSError as error:
        return (), f"nvidia-smi cannot be run ({error.strerror})"
    gpus = tuple(gpu for gpu in map(_gpu, answer.stdout.splitlines()) if gpu is not None)
    if gpus:
        return _visible(gpus), ""
    said = (answer.stdout.strip() or answer.stderr.strip() or "nothing").splitlines()[0].rstrip(".")
    return (), "" if "No devices" in said else f"the NVIDIA driver does not work (nvidia-smi: {said})"


def _gpu(line: str) -> Gpu | None:
    fields = [field.strip() for field in line.split(",")]
    try:
        index, name, total, free, driver = fields
        return Gpu(int(index), name, int(total) << 20, int(free) << 20, driver)
    except ValueError:
        return None


def _visible(gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    """Those that `CUDA_VISIBLE_DEVICES` leaves, under the numbers that they have for CUDA then."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return gpus
    numbers = [int(number) for number in chosen.split(",") if number.strip().isdecimal()]
    by_index = {gpu.index: gpu for gpu in gpus}
    kept = [by_index[number] for number in numbers if number in by_index]
    return tuple(Gpu(place, gpu.name, gpu.total, gpu.free, gpu.driver) for place, gpu in enumerate(kept))


def _on_the_bus() -> bool:
    devices = Path("/sys/bus/pci/devices")
    if not devices.is_dir():
        return False
    return any(
        _read(device / "vendor") == _NVIDIA and _read(device / "class").startswith("0x03") for device in devices.iterdir()
    )


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    quota, _, period = _read(Path("/sys/fs/cgroup/cpu.max")).partition(" ")
    if quota.isdecimal() and period.isdecimal():
        cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def _memory() -> tuple[int, int]:
    """Total and free RAM in bytes."""
    if sys.platform == "win32":
        return _windows_memory()
    table = dict(line.split(":", 1) for line in _read(Path("/proc/meminfo")).splitlines() if ":" in line)
    if "MemTotal" not in table:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return total, total // 2
    total, free = (int(table[key].split()[0]) << 10 for key in ("MemTotal", "MemAvailable"))
    limit, used = _read(Path("/sys/fs/cgroup/memory.max")), _read(Path("/sys/fs/cgroup/memory.current"))
    if limit.isdecimal() and used.isdecimal():
        # Cached files count as used there, but they make room when memory is asked for.
        cached = re.search(r"^inactive_file (\d+)$", _read(Path("/sys/fs/cgroup/memory.stat")), re.MULTILINE)
        taken = int(used) - (int(cached[1]) if cached else 0)
        return min(total, int(limit)), max(0, min(free, int(limit) - taken))
    return total, free


def _windows_memory() -> tuple[int, int]:
    """Source: MEMORYSTATUSEX of the Windows API; total and available physical memory are its second and third long numbers."""
    status = (ctypes.c_uint64 * 8)()
    ctypes.cast(status, ctypes.POINTER(ctypes.c_uint32))[0] = ctypes.sizeof(status)
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - it exists on Windows only
    kernel.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status[1]), int(status[2])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
