"""The `assistant` program as its users meet it: started as a process, timed from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import HostError

PROGRAM = Path(sys.executable).parent / "assistant"
PATIENCE = 300.0


@dataclass(frozen=True, slots=True)
class Run:
    """One process.

    first: seconds from its start to the first byte of its output.  whole: seconds to its end.
    peak: MB of memory at most, 0 where the system does not say.
    """

    status: int
    first: float
    whole: float
    peak: float
    errors: str


def run(*arguments: str, watch_memory: bool = False) -> Run:
    """Start `assistant` with `arguments` and wait for its end."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    peaks = [0.0]
    if watch_memory:
        threading.Thread(target=_watch, args=(process, peaks), daemon=True).start()
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    assert process.stdout is not None
    process.stdout.read(1)
    first = time.perf_counter() - start
    _, errors = process.communicate()
    timer.cancel()
    return Run(process.returncode, first, time.perf_counter() - start, max(peaks), errors.decode(errors="replace"))


def good(*arguments: str, watch_memory: bool = False) -> Run:
    """`run`, for a process that must succeed.

    Raises:
        HostError: it did not; with what it said.
    """
    ended = run(*arguments, watch_memory=watch_memory)
    if ended.status != 0:
        raise HostError(f"assistant {' '.join(arguments)} ended with {ended.status}: {ended.errors.strip()}")
    return ended


def at_once(commands: Sequence[tuple[str, ...]]) -> list[Run]:
    """Run all commands at the same time."""
    ended: list[Run] = []
    threads = [threading.Thread(target=lambda command=command: ended.append(run(*command))) for command in commands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def _watch(process: subprocess.Popen[bytes], peaks: list[float]) -> None:
    """Read the process's own high-water mark until it is gone; what the parent measures would count the parent's memory."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None and os.name == "posix":
        try:
            lines = status.read_text(encoding="utf-8").splitlines()
        except OSError:
            return
        peaks.extend(int(line.split()[1]) / 1000 * 1.024 for line in lines if line.startswith("VmHWM"))
        time.sleep(0.005)
