"""The processes of a caged command, which are one process group: how many, how large, and how all of them end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_ADOPT = 36  # PR_SET_CHILD_SUBREAPER


def adopt_orphans() -> None:
    """Make this process the parent of whatever loses its own, so that nothing of the command goes out of sight."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_ADOPT, 1, 0, 0, 0)


def has_ended(pid: int) -> bool:
    """Whether the command has ended; it stays a zombie, so that the number of its group is not given to another."""
    _reap(pid)
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def usage(group: int) -> tuple[int, int]:
    """How many processes the group has, and how many bytes of memory they hold together."""
    count = memory = 0
    page = os.sysconf("SC_PAGE_SIZE")
    for pid in _members(group):
        with contextlib.suppress(OSError, ValueError, IndexError):
            memory += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page
        count += 1
    return count, memory


def end_all(pid: int) -> int:
    """End the command with all that it started, and wait for that; its exit status, negative for a signal."""
    while True:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        _reap(pid)
        left = [each for each in _descendants() if each != pid]
        for each in left:  # one that left the group, which only a command without a cage can
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        if not left and has_ended(pid):
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        time.sleep(0.002)


def _reap(pid: int) -> None:
    """Take note of adopted processes that have ended."""
    for each in _descendants():
        if each != pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(each, os.WNOHANG)


def _members(group: int) -> Iterator[int]:
    for pid in _pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) == group:
                yield pid


def _descendants() -> list[int]:
    """Children of this process, and theirs."""
    parents: dict[int, list[int]] = {}
    for pid in _pids():
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(pid)
    found: list[int] = []
    pending = [os.getpid()]
    while pending:
        children = parents.get(pending.pop(), [])
        found += children
        pending += children
    return found


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - names, many times a second
    except OSError:  # a system without /proc
        return []
