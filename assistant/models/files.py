"""Files that arrive whole or not at all: hashed, written aside, flushed to disk, and renamed into place."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from assistant.errors import StorageError
from assistant.models.offers import size_text
from assistant.settings import home

CHUNK = 1 << 20

_SPARE = 64_000_000
"""Bytes that are left free on the disk beyond what a download needs."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def sha256_of(path: Path, advance: Callable[[int], None] = lambda count: None) -> str:
    """The sha256 of a file in hex; `advance` is told of every further count of bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            advance(len(chunk))
    return digest.hexdigest()


def publish(part: Path, target: Path) -> None:
    """Give a finished file its name, so that even after a power cut the name never stands for half a file."""
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    part.replace(target)


def write_text(path: Path, text: str) -> None:
    """Replace a small text file in one step."""
    with storage_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            part.write_text(text, encoding="utf-8")
            publish(part, path)
        finally:
            part.unlink(missing_ok=True)


def free_bytes(folder: Path) -> int:
    """What the disk below `folder`, or the nearest parent that exists, has left for this user."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_space(folder: Path, need: int) -> None:
    """Make sure that `need` more bytes fit.

    Raises:
        StorageError: they do not; the message gives both numbers.
    """
    free = free_bytes(folder)
    if need + _SPARE > free:
        raise StorageError(
            f"{size_text(need + _SPARE)} are needed in {folder}, but only {size_text(free)} are free.",
            "Free some space, or set STARCHAT_CACHE to a folder on a larger disk.",
        )


@contextmanager
def storage_errors(folder: Path, so_far: str = "What has arrived is kept") -> Iterator[None]:
    """Turn failures of the disk under `folder` into a `StorageError` that says what to do; others pass.

    so_far: what a full disk leaves of the work.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            message = f"The disk under {folder} is full: {size_text(free_bytes(folder))} are left."
            raise StorageError(
                message,
                f"{so_far}: free some space, or set {_variable(folder)} to another disk, and run it again.",
            ) from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise StorageError(
                f"{error.filename or folder} may not be written or read: {error.strerror}.",
                f"Check the permissions of the folder, or set {_variable(folder)} to one of your own.",
            ) from error
        if error.errno in {errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}:
            raise StorageError(
                f"{error.filename or folder} cannot be used: {error.strerror}.",
                f"Check the disk and the folder, or set {_variable(folder)} to another.",
            ) from error
        raise


def _variable(folder: Path) -> str:
    """The environment variable that moves `folder` elsewhere."""
    return "STARCHAT_HOME" if folder.is_relative_to(home()) else "STARCHAT_CACHE"
