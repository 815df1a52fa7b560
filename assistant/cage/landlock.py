"""Landlock: which files the caged process may read and write, held by the kernel for it and all it starts.

Source: the kernel's Documentation/userspace-api/landlock.rst and include/uapi/linux/landlock.h.  Linux 5.13 has version 1 of
the interface; later versions control more, and what an older kernel does not control, `assistant.cage.seccomp` forbids.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Sequence

SCOPES_SIGNALS = 6
"""From this version on a confined process can send signals only to what is confined with it."""

CONTROLS_TRUNCATION = 3
"""From this version on truncating a file counts as writing it."""

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # a flag of landlock_create_ruleset
_PATH_BENEATH = 1  # a type of rule
_NO_NEW_PRIVILEGES = 38  # an option of prctl

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = (1 << bit for bit in range(6, 13))
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1

_READ = _EXECUTE | _READ_FILE | _READ_DIR
_CHANGE = _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_FIFO | _MAKE_SYM | _REFER | _TRUNCATE
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_NEVER = _MAKE_CHAR | _MAKE_BLOCK | _MAKE_SOCK


def version() -> int:
    """The version of the kernel's interface; 0 where there is none, or where it is switched off."""
    try:
        return max(0, int(_syscall(_CREATE_RULESET, None, 0, _VERSION)))
    except OSError:
        return 0


def confine(readable: Sequence[str], writable: Sequence[str]) -> None:
    """Allow this process to read and run what lies below `readable`, to change what lies below `writable`, and no other file.

    Paths that do not exist are passed over.

    Raises:
        OSError: the kernel refuses.
    """
    found = version()
    handled = _known(_READ | _CHANGE | _NEVER | _IOCTL_DEV, found)
    ruleset = _syscall(_CREATE_RULESET, *_attributes(handled, found), 0)
    for path in readable:
        _allow(ruleset, path, _known(_READ, found))
    for path in writable:
        _allow(ruleset, path, _known(_READ | _CHANGE, found))
    _prctl(_NO_NEW_PRIVILEGES, 1)
    _syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _known(rights: int, found: int) -> int:
    """The rights that this version of the interface knows."""
    if found < 2:
        rights &= ~_REFER
    if found < CONTROLS_TRUNCATION:
        rights &= ~_TRUNCATE
    return rights if found >= 5 else rights & ~_IOCTL_DEV


def _attributes(handled: int, found: int) -> tuple[ctypes.Array[ctypes.c_char], int]:
    """The kernel's struct landlock_ruleset_attr and its size in this version."""
    fields = [handled]
    if found >= 4:
        fields.append(_BIND_TCP | _CONNECT_TCP)
    if found >= SCOPES_SIGNALS:
        fields.append(_ABSTRACT_SOCKETS | _SIGNALS)
    raw = struct.pack(f"={len(fields)}Q", *fields)
    return ctypes.create_string_buffer(raw, len(raw)), len(raw)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined,unused-ignore]  # Linux only
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= _OF_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, opened), 12)
        _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(opened)


def _syscall(number: int, *arguments: object) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    result: int = library.syscall(ctypes.c_long(number), *(_word(each) for each in arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _word(argument: object) -> object:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
