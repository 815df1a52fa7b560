"""Running a command that nobody vouches for: on a folder of its own, without a network, within limits, and to a certain end.

    outcome = await run(Job(("sh", "-c", "pytest -q"), folder))

The cage is Landlock (files), seccomp (sockets, other processes, the kernel), resource limits and a watching process; see
`assistant.cage` and docs/sandbox.md, which says what it does not do.  Where the system denies it, `run` refuses.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from assistant.errors import InputError, SandboxError

Stop = Literal["", "time", "memory", "processes", "output", "disk", "cancelled"]

MACHINES = ("x86_64", "aarch64")
_KEPT = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "VIRTUAL_ENV", "CONDA_PREFIX", "JAVA_HOME", "GOROOT", "RUSTUP_HOME")
_TOOLS = (".local/bin", ".local/lib", ".local/share/uv", ".pyenv", ".cargo/bin", ".cargo/registry", ".rustup", ".nvm", "go/pkg")
_CLOSED = frozenset({"home", "root", "tmp", "run", "mnt", "media", "srv", "boot", "lost+found", "proc", "dev", "var"})
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a caged command may take.

    seconds: wall-clock time.  memory: bytes, for one process and for all together.  processes: how many at once.
    output: bytes that it may print before it is stopped.  kept: bytes of them that are kept.
    file, disk: bytes of one file, and of its whole folder.
    """

    seconds: float = 60.0
    memory: int = 2 * 1024**3
    processes: int = 128
    output: int = 16 * 1024**2
    kept: int = 64 * 1024
    file: int = 256 * 1024**2
    disk: int = 1024**3


@dataclass(frozen=True, slots=True)
class Job:
    """A command and its cage.

    folder: the only place it may write to; `home` and `tmp` in it become its home and its place for temporary files.
    cwd: where it starts, `folder` itself unless told.
    readable: what it may read beside the system's own files and this Python.
    environment: variables beside the few harmless ones that are kept.
    confined: False leaves the limits and takes the cage away, as the user may ask.
    """

    command: tuple[str, ...]
    folder: Path
    cwd: Path | None = None
    readable: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    confined: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended.

    status: its exit status, negative for the signal that ended it.  stopped: the limit that ended it, else empty.
    output: what it printed, both streams as they came; the middle of a long one is left out.
    """

    status: int
    stopped: Stop
    output: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether it ended by itself and successfully."""
        return self.status == 0 and not self.stopped


def unavailable() -> str:
    """Why there is no cage on this system, as the end of a sentence; empty where there is one."""
    if sys.platform != "linux":
        return f"it is built for Linux only, and this is {platform.system()}"
    if platform.machine() not in MACHINES:
        return f"it does not know the system calls of {platform.machine()}"
    from assistant.cage import landlock

    if not landlock.version():
        return "this kernel has no Landlock (Linux 5.13 or newer with `landlock` among its security modules)"
    return ""


def check_available() -> None:
    """Refuse where there is no cage.

    Raises:
        SandboxError: with the reason.
    """
    if reason := unavailable():
        raise SandboxError(
            f"The sandbox cannot be had here: {reason}.", "Run it without one by --unsandboxed, if you trust what would run."
        )


async def run(job: Job) -> Outcome:
    """Run the command to its end; when this call is cancelled, the command and all that it started are ended.

    Raises:
        SandboxError: the cage cannot be made.
        InputError: the command cannot be started.
    """
    if job.confined:
        check_available()
    elif os.name != "posix":
        raise SandboxError("Commands cannot be run here without a sandbox, either.", "Use Linux, or macOS.")
    for name in ("home", "tmp"):
        (job.folder / name).mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "assistant.cage"),
        cwd=job.folder,
        env=_own_environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=8 * job.limits.kept + 65536,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(_spec(job)).encode() + b"\n")
        answer = await process.stdout.readline()
    finally:
        process.stdin.close()  # which ends the command, where it still runs
        await asyncio.shield(_gone(process))
    return _outcome(answer, job)


async def _gone(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        await process.wait()


def _spec(job: Job) -> dict[str, object]:
    limits = asdict(job.limits) | {"user_processes": _processes_of_user() + 2 * job.limits.processes}
    return {
        "command": list(job.command),
        "folder": str(job.folder),
        "cwd": str(job.cwd or job.folder),
        "environment": {**_environment(job.folder), **job.environment},
        "readable": [*_system(), *_DEVICES, *map(str, job.readable)],
        "writable": [str(job.folder), "/dev/null", "/dev/zero", "/dev/full"],
        "limits": limits,
        "confined": job.confined,
    }


def _outcome(answer: bytes, job: Job) -> Outcome:
    try:
        said = json.loads(answer)
    except ValueError as error:
        raise SandboxError("The sandbox's process died.", "Try again; if it dies again, please report it.") from error
    if said["failure"]:
        if said["failure"] == os.strerror(2):
            raise InputError(f"There is no program {job.command[0]!r}.", "Check its name and PATH.")
        raise SandboxError(f"The command cannot be started: {said['failure']}.", "Check the command.")
    return Outcome(said["status"], said["stopped"], said["output"], said["seconds"])


def _environment(folder: Path) -> dict[str, str]:
    """The caged command's variables: where programs are, what language is spoken, and folders of its own."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "TERM": "dumb", "NO_COLOR": "1"}
    quiet = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    return {"PATH": _path(), **kept, **own, **quiet}


def _path() -> str:
    """PATH, with the folder of this Python first where it has none of its own: a check may say `pytest` or `python`."""
    given = os.environ.get("PATH", os.defpath).split(os.pathsep)
    own = sysconfig.get_path("scripts")
    return os.pathsep.join(given if own in given else [*given, own])


def _own_environment() -> dict[str, str]:
    """Of the watching process: ours without what could change which code Python runs, and without keys."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith("PYTHON") and name != "STARCHAT_API_KEY"
    }


def _system() -> list[str]:
    """What may be read of the system: everything at the root but homes, temporary files, devices and the like.

    Of the user's home only folders where programs lie, of /proc only what Landlock leaves of it: nothing of processes outside.
    """
    root = [str(path) for path in Path("/").iterdir() if path.name not in _CLOSED]
    tools = [str(Path.home() / name) for name in _TOOLS]
    python = [sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), *_beside_python()]
    return [*root, "/proc", "/var/lib", "/var/cache/fontconfig", *tools, *python, *_of_path()]


def _of_path() -> list[str]:
    """Folders of programs that PATH names, with the libraries beside them; the home itself never."""
    found = [os.environ[name] for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "JAVA_HOME", "GOROOT") if name in os.environ]
    for entry in map(Path, _path().split(os.pathsep)):
        if entry.is_absolute() and entry != Path.home():
            beside = entry.name == "bin" and (entry.parent / "lib").is_dir() and entry.parent not in (Path.home(), Path("/"))
            found.append(str(entry.parent if beside else entry))
    return found


def _beside_python() -> list[str]:
    """Folders of an editable installation, whose modules lie outside Python's own."""
    return [entry for entry in sys.path if entry and Path(entry).is_dir()]


def _processes_of_user() -> int:
    """Processes and threads that the user has already, which the kernel counts together with the command's."""
    count = 0
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == os.getuid():
                    count += len(list((entry / "task").iterdir()))
    return count
