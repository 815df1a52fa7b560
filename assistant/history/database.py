"""The history's file: opened for one transaction at a time, shared by many processes, never a reason to lose anything.

SQLite keeps its rollback journal, whatever its version: write-ahead logging could damage a file with several writers before
3.51.3, the mode stays with the file once it is set, and a file alone is easier to erase.  Each call opens the file anew, which
takes a millisecond; nothing is held between two messages.

A file that is damaged is put aside under another name and kept.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from assistant.errors import StorageError
from assistant.history.schema import prepare
from assistant.settings import home, private_folder

BUSY_SECONDS = 6.0
"""How long a process waits for the others; one write takes a few milliseconds."""

_ELSEWHERE = "Check the folder's permissions, or set STARCHAT_HOME to another."
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_FAILURES = {
    sqlite3.SQLITE_BUSY: ("is in use by another program", "Try again in a moment."),
    sqlite3.SQLITE_LOCKED: ("is in use by another program", "Try again in a moment."),
    sqlite3.SQLITE_IOERR: ("cannot be read or written: the disk fails, or is full", "Free some space, and check the disk."),
    sqlite3.SQLITE_FULL: ("cannot be written: the disk is full", "Free some space."),
    sqlite3.SQLITE_READONLY: ("is read-only", _ELSEWHERE),
    sqlite3.SQLITE_PERM: ("may not be opened", _ELSEWHERE),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", _ELSEWHERE),
}


def history_folder() -> Path:
    """Where everything of the history lies."""
    return home() / "history"


def history_file() -> Path:
    """The history itself."""
    return history_folder() / "history.sqlite3"


@contextmanager
def reading() -> Iterator[sqlite3.Connection | None]:
    """A connection to read with; None where nothing was ever kept.

    Raises:
        StorageError: the file cannot be used, and why.
    """
    if not history_file().exists():
        yield None
        return
    with _translated(), closing(_connect(history_file())) as connection:
        prepare(connection, history_file())
        yield connection


@contextmanager
def writing() -> Iterator[sqlite3.Connection]:
    """A connection inside a transaction: committed at the end, undone where anything is raised.

    Raises:
        StorageError: the file cannot be used, and why.
    """
    path = history_file()
    private_folder(path.parent)
    with _translated():
        _create(path)
        with closing(_connect(path)) as connection:
            prepare(connection, path)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()


def _create(path: Path) -> None:
    """An empty file with access for its owner alone; SQLite gives its journal the same."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _translated() -> Iterator[None]:
    """SQLite's errors, and the system's, as ours; a damaged file is put aside."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _as_ours(error) from error
    except OSError as error:
        raise StorageError(f"The history {history_file()} cannot be used: {error.strerror}.", _ELSEWHERE) from error


def _as_ours(error: sqlite3.DatabaseError) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGED or (code == sqlite3.SQLITE_ERROR and not _is_sound(history_file())):
        return _put_aside(history_file())
    if code not in _FAILURES:
        return error  # a bug of ours, and told as one
    why, remedy = _FAILURES[code]
    return StorageError(f"The history {history_file()} {why}.", remedy)


def _put_aside(path: Path) -> StorageError:
    """Give the damaged file another name, and say which; a process that comes second finds it done."""
    with FileLock(path.with_suffix(".lock"), mode=0o600), suppress(FileNotFoundError):
        if not _is_sound(path):
            kept = _free_name(path)
            with suppress(FileNotFoundError):
                path.with_name(f"{path.name}-journal").rename(f"{kept}-journal")
            path.rename(kept)
            return StorageError(f"The history was damaged. It is kept as {kept}.", "The next message begins a new one.")
    return StorageError("The history was damaged, and has been put aside.", "The next message begins a new one.")


def _is_sound(path: Path) -> bool:
    """Whether it is a history without damage, as seen in one transaction; one that cannot be looked at now counts as sound."""
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN")
            if connection.execute("PRAGMA user_version").fetchone() == (0,):
                return bool(
                    connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
                )  # one that was just made
            connection.execute("SELECT id, title, created, updated FROM conversation LIMIT 1")
            connection.execute("SELECT number, conversation, role, content, created FROM message LIMIT 1")
            return bool(connection.execute("PRAGMA quick_check").fetchone() == ("ok",))
        except sqlite3.DatabaseError as error:
            return getattr(error, "sqlite_errorcode", 0) & 0xFF not in (*_DAMAGED, sqlite3.SQLITE_ERROR)


def _free_name(path: Path) -> Path:
    stem = f"damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    names = (path.with_name(f"{stem}{'' if number == 1 else f'-{number}'}.sqlite3") for number in range(1, 10_000))
    return next(name for name in names if not name.exists())
