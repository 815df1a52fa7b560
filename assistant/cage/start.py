"""The start of a caged command: a process that confines itself, then becomes the command."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from assistant.cage import landlock, seccomp

NO_CAGE = 125
"""Exit status of a process that could not confine itself, or not become the command."""

_DEATH_SIGNAL, _SECURE_BITS = 1, 28  # options of prctl
_NO_ROOT_LOCKED = 3  # being root brings no capabilities, and that stays so
_CAPSET = {"x86_64": 126, "aarch64": 91}


def start(job: dict[str, Any]) -> tuple[int, int, Callable[[], str]]:
    """Start the job's command.

    Returns:
        its process id, the pipe with its output, and a function that says, once it has ended, why it could not be started.
    """
    output, output_end = os.pipe()
    failure, failure_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(job, output_end, failure_end)
    os.close(output_end)
    os.close(failure_end)

    def why() -> str:
        with os.fdopen(failure, "rb") as said:
            return said.read().decode("utf-8", errors="replace")

    return pid, output, why


def _become(job: dict[str, Any], output: int, failure: int) -> NoReturn:
    """Never returns: this process becomes the command, or says why not and ends."""
    try:
        os.setsid()
        _redirect(output)
        os.chdir(job["cwd"])
        os.umask(0o077)
        _limit(job["limits"])
        if job["confined"]:
            _confine(job)
        environment: dict[str, str] = job["environment"]
        os.execvpe(job["command"][0], job["command"], environment)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(failure, (getattr(error, "strerror", None) or str(error)).encode()[:1000])
    os._exit(NO_CAGE)


def _redirect(output: int) -> None:
    """Nothing to read, and one pipe for all that is written."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for signum in (signal.SIGPIPE, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)


def _limit(limits: dict[str, Any]) -> None:
    """Limits of each single process; what all of them take together is watched from outside."""
    import resource  # POSIX only

    seconds = int(limits["seconds"]) + 5
    for which, value in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_DATA, limits["memory"]),
        (resource.RLIMIT_FSIZE, limits["file"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 1024),
    ):
        _lower(which, value)
    with contextlib.suppress(ValueError, OSError):
        _lower(resource.RLIMIT_NPROC, limits["user_processes"])
    with contextlib.suppress(OSError):
        os.nice(5)


def _lower(which: int, value: int) -> None:
    import resource

    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _confine(job: dict[str, Any]) -> None:
    """Give up everything that the command does not need, for good.

    Raises:
        OSError: the kernel refuses a part of it.
    """
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_DEATH_SIGNAL, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    if os.geteuid() == 0:
        _drop_capabilities(library)
    landlock.confine(job["readable"], job["writable"])
    seccomp.confine(landlock.version())


def _drop_capabilities(library: ctypes.CDLL) -> None:
    """Make root an ordinary user, also for what it starts."""
    if sys.platform != "linux":
        return
    library.prctl(_SECURE_BITS, ctypes.c_ulong(_NO_ROOT_LOCKED), 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    nothing = (ctypes.c_uint32 * 6)()
    number = _CAPSET[os.uname().machine]
    if library.syscall(ctypes.c_long(number), header, nothing) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
