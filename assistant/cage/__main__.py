"""One caged command: reads a job (JSON) from standard input, watches the command to its end, writes what became of it (JSON).

When standard input closes, or this process gets another parent, whoever asked is gone or has changed its mind: the command is
ended.  However it ends, everything that it started has ended, too, before the answer is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import sys
import time
from typing import Any

from assistant.cage import processes
from assistant.cage.output import Bounded
from assistant.cage.start import start

POLL_SECONDS = 0.05
DISK_SECONDS = 1.0


def main() -> None:
    """Carry out the job on standard input."""
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as unbuffered:  # so that `select` sees what follows
        line = unbuffered.readline()
    print(json.dumps(watch(json.loads(line))), flush=True)


def watch(job: dict[str, Any]) -> dict[str, Any]:
    """Run the job's command to its end or a limit; says how it ended.

    Returns:
        status: the exit status (negative: the signal that ended it), stopped: the limit that ended it or "", output, dropped
        (bytes of output that were not kept), seconds, failure: why the cage could not be made, or "".
    """
    limits = job["limits"]
    processes.adopt_orphans()
    begun = time.monotonic()
    pid, pipe, failure = start(job)
    output = Bounded(limits["kept"])
    stopped = _follow(pid, pipe, output, job, begun)
    status = processes.end_all(pid)
    _drain(pipe, output)
    return {
        "status": status,
        "stopped": stopped,
        "output": output.text(),
        "dropped": output.dropped,
        "seconds": time.monotonic() - begun,
        "failure": failure(),
    }


def _follow(pid: int, pipe: int, output: Bounded, job: dict[str, Any], begun: float) -> str:
    """Collect output until the command ends by itself, or the name of what stops it."""
    limits = job["limits"]
    deadline, next_disk = begun + limits["seconds"], begun + DISK_SECONDS
    asking = os.getppid()
    with selectors.DefaultSelector() as ready:
        ready.register(pipe, selectors.EVENT_READ)
        ready.register(sys.stdin.fileno(), selectors.EVENT_READ)
        while not processes.has_ended(pid):
            for key, _ in ready.select(POLL_SECONDS):
                if key.fd == pipe:
                    if not output.take(pipe):
                        ready.unregister(pipe)
                elif not os.read(key.fd, 4096):
                    return "cancelled"
            if os.getppid() != asking:
                return "cancelled"
            now = time.monotonic()
            if now > deadline:
                return "time"
            if output.total > limits["output"]:
                return "output"
            count, memory = processes.usage(pid)
            if count > limits["processes"]:
                return "processes"
            if memory > limits["memory"]:
                return "memory"
            if now > next_disk:
                next_disk = now + DISK_SECONDS
                if _size(job["folder"]) > limits["disk"]:
                    return "disk"
    return ""


def _drain(pipe: int, output: Bounded) -> None:
    """What is left in the pipe; nobody holds its other end any more."""
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while output.take(pipe):
            pass
    os.close(pipe)


def _size(folder: str) -> int:
    """Bytes on the disk below a folder; links are not followed."""
    total, pending = 0, [folder]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
    return total


if __name__ == "__main__":
    main()
