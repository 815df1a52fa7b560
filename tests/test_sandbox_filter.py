"""The filter over system calls, as every kernel that we know of would see it: interpreted here, instruction by instruction."""

from __future__ import annotations

import errno

import pytest

from assistant.cage.calls import CALLS, DENIED, PRETENDED, UNKNOWN, UNSUPPORTED
from assistant.cage.seccomp import MACHINES, Kernel, program

ALLOW, KILL = 0x7FFF0000, 0x80000000
KERNELS = [Kernel(machine, landlock) for machine in MACHINES for landlock in (1, 2, 3, 5, 6, 7)]


def verdict(kernel: Kernel, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the filter says of a call."""
    words = {0: number, 4: MACHINES[kernel.machine][0] if architecture is None else architecture}
    words |= {16 + 8 * index: value & 0xFFFFFFFF for index, value in enumerate((*arguments, 0, 0, 0, 0, 0, 0)[:6])}
    code, place, held = program(kernel), 0, 0
    while True:
        operation, yes, no, value = code[place]
        place += 1
        match operation:
            case 0x20:
                held = words[value]
            case 0x54:
                held &= value
            case 0x06:
                return value
            case _:
                true = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[operation]
                place += yes if true else no


def refused(kernel: Kernel, name: str, *arguments: int) -> int | None:
    """The error that a call gets, None where it is let through."""
    number = CALLS[name][MACHINES[kernel.machine][1]]
    if number is None:
        return errno.ENOSYS
    said = verdict(kernel, number, *arguments)
    return None if said == ALLOW else said - 0x00050000


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_every_listed_call_meets_its_fate(kernel: Kernel) -> None:
    for names, fate in ((DENIED, errno.EPERM), (PRETENDED, 0), (UNKNOWN, errno.ENOSYS), (UNSUPPORTED, errno.ENOTSUP)):
        for name in names:
            if CALLS[name][MACHINES[kernel.machine][1]] is not None:
                assert refused(kernel, name) == fate, name


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_arguments_decide(kernel: Kernel) -> None:
    unix, inet, stream, datagram, nonblocking = 1, 2, 1, 2, 0o4000
    assert refused(kernel, "socketpair", unix, stream | nonblocking) is None
    assert refused(kernel, "socketpair", unix, datagram) == errno.EPERM
    assert refused(kernel, "socketpair", inet, stream) == errno.EPERM
    assert refused(kernel, "clone", 0x01200011) is None  # fork
    assert refused(kernel, "clone", 0x003D0F00) is None  # a thread
    assert refused(kernel, "clone", 0x10000011) == errno.EPERM  # a user namespace
    assert refused(kernel, "prlimit64", 0) is None
    assert refused(kernel, "prlimit64", 1) == errno.EPERM
    assert refused(kernel, "ioctl", 0, 0x5401) is None
    assert refused(kernel, "ioctl", 0, 0x5412) == errno.EPERM
    assert refused(kernel, "fchmod", 3, 0o755) is None
    for mode in (0o644, 0o777, 0o4755, 0o000):
        assert refused(kernel, "fchmod", 3, mode) == 0


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_what_an_old_landlock_leaves_open_is_closed(kernel: Kernel) -> None:
    old = kernel.landlock < 3
    assert refused(kernel, "openat", 0, 0, 0o1000) == (errno.EPERM if old else None)
    assert refused(kernel, "openat", 0, 0, 0o1001) is None
    assert refused(kernel, "openat", 0, 0, 0) is None
    assert refused(kernel, "truncate") == (errno.EPERM if old else None)
    assert refused(kernel, "kill", 0) is None
    assert refused(kernel, "kill", 4711) == (errno.EPERM if kernel.landlock < 6 else None)
    assert refused(kernel, "kill", -1) == (errno.EPERM if kernel.landlock < 6 else None)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_calls_of_another_architecture_are_not_let_through(kernel: Kernel) -> None:
    assert verdict(kernel, 0, architecture=0x40000003) == KILL
    if kernel.machine == "x86_64":
        assert verdict(kernel, 0x40000000 + 41) == 0x00050000 | errno.ENOSYS
    assert verdict(kernel, 0) == ALLOW
    assert all(max(yes, no) < 256 for _, yes, no, _ in program(kernel))
