"""Seccomp: system calls that a caged process may not make, held by the kernel for it and all it starts.

A filter is a small program in classic BPF over the call's number and its arguments; see the kernel's
Documentation/userspace-api/seccomp_filter.rst.  `program` assembles it, `confine` hands it to the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass

from assistant.cage.calls import CALLS, DENIED, PRETENDED, UNKNOWN, UNSUPPORTED
from assistant.cage.landlock import CONTROLS_TRUNCATION, SCOPES_SIGNALS

MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""Machine to its audit architecture (include/uapi/linux/audit.h) and its column in the table of calls."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _MASK, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06  # BPF_LD|W|ABS, BPF_JMP|…, BPF_ALU|AND
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000  # the bit of the 32-bit calls of an x86-64 kernel

_UNIX, _STREAM, _TYPE_MASK = 1, 1, 0xF
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWUSER, NEWPID, NEWNET, NEWIPC, NEWUTS, NEWCGROUP, NEWNS
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_ACCESS_MODE, _TRUNCATE = 0o3, 0o1000
_OWNER_ALL, _FORBIDDEN_BITS = 0o700, 0o7022

Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the filter depends on: the machine as `uname` names it, and the version of Landlock."""

    machine: str
    landlock: int


def confine(landlock: int) -> None:
    """Put the filter over this process; it must have given up new privileges before.

    Raises:
        OSError: the kernel refuses, or the machine is none of `MACHINES`.
    """
    machine = platform.machine()
    if machine not in MACHINES:
        raise OSError(errno.ENOSYS, f"system calls of {machine} are not known here")
    raw = b"".join(struct.pack("=HBBI", *each) for each in program(Kernel(machine, landlock)))
    code = ctypes.create_string_buffer(raw, len(raw))
    # struct sock_fprog: the number of instructions, padding to the alignment of a pointer, the pointer
    filtered = ctypes.create_string_buffer(struct.pack("@HP", len(raw) // 8, ctypes.addressof(code)))
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(22, ctypes.c_ulong(2), filtered, 0, 0) < 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def program(kernel: Kernel) -> list[Instruction]:
    """The filter as instructions (code, jump if true, jump if false, value)."""
    architecture, column = MACHINES[kernel.machine]
    made: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if kernel.machine == "x86_64":
        made += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    for name, body in _rules(kernel):
        number = CALLS[name][column]
        if number is not None:
            made += [(_EQUAL, 0, len(body), number), *body]
    return [*made, (_RETURN, 0, 0, _ALLOW)]


def _rules(kernel: Kernel) -> list[tuple[str, list[Instruction]]]:
    """Each call with what is done about it; every list ends by returning, or falls back to allowing."""
    rules = [(name, [_refuse(errno.EPERM)]) for name in DENIED]
    rules += [(name, [_refuse(0)]) for name in PRETENDED]
    rules += [(name, [_refuse(errno.ENOSYS)]) for name in UNKNOWN]
    rules += [(name, [_refuse(errno.ENOTSUP)]) for name in UNSUPPORTED]
    rules += [
        ("socketpair", _pair()),
        ("clone", [*_argument(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES), _refuse(errno.EPERM), _pass()]),
        ("prlimit64", [*_argument(0), (_EQUAL, 1, 0, 0), _refuse(errno.EPERM), _pass()]),
        ("ioctl", [*_argument(1), (_EQUAL, 1, 0, _TIOCSTI), (_EQUAL, 0, 1, _TIOCLINUX), _refuse(errno.EPERM), _pass()]),
        ("chmod", _mode(1)),
        ("fchmod", _mode(1)),
        ("fchmodat", _mode(2)),
        ("fchmodat2", _mode(2)),
    ]
    if kernel.landlock < SCOPES_SIGNALS:
        rules += [("kill", [*_argument(0), (_EQUAL, 1, 0, 0), _refuse(errno.EPERM), _pass()])]
        rules += [(name, [_refuse(errno.EPERM)]) for name in ("tkill", "tgkill", "rt_sigqueueinfo", "pidfd_send_signal")]
    if kernel.landlock < CONTROLS_TRUNCATION:
        rules += [("truncate", [_refuse(errno.EPERM)]), ("openat2", [_refuse(errno.ENOSYS)])]
        rules += [("open", _truncating(1)), ("openat", _truncating(2))]
    return rules


def _argument(index: int) -> list[Instruction]:
    """Load the low word of an argument."""
    return [(_LOAD, 0, 0, _ARGUMENTS + 8 * index)]


def _refuse(code: int) -> Instruction:
    """The call fails with this error; 0 makes it look like a success that changed nothing."""
    return (_RETURN, 0, 0, _ERRNO | code)


def _pass() -> Instruction:
    return (_RETURN, 0, 0, _ALLOW)


def _pair() -> list[Instruction]:
    """A pair of connected streams is harmless; any other pair could be addressed to a socket outside."""
    return [
        *_argument(0),
        (_EQUAL, 0, 3, _UNIX),
        *_argument(1),
        (_MASK, 0, 0, _TYPE_MASK),
        (_EQUAL, 1, 0, _STREAM),
        _refuse(errno.EPERM),
        _pass(),
    ]


def _mode(index: int) -> list[Instruction]:
    """A file may be made the owner's own program, as compilers do; any other change of modes only looks like a success."""
    return [
        *_argument(index),
        (_ANY_BIT, 3, 0, _FORBIDDEN_BITS),
        (_MASK, 0, 0, _OWNER_ALL),
        (_EQUAL, 0, 1, _OWNER_ALL),
        _pass(),
        _refuse(0),
    ]


def _truncating(index: int) -> list[Instruction]:
    """Old kernels let a file be emptied by opening it for reading."""
    return [
        *_argument(index),
        (_ANY_BIT, 0, 4, _TRUNCATE),
        (_MASK, 0, 0, _ACCESS_MODE),
        (_EQUAL, 0, 1, os.O_RDONLY),
        _refuse(errno.EPERM),
        _pass(),
        _pass(),
    ]
