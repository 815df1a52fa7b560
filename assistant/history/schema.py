"""The form of the history's file, and how a file of an older form becomes one of today's.

`PRAGMA user_version` holds the number of the form.  Each step brings a file one form further, inside one transaction.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from assistant.errors import StorageError

_STEPS = (
    """
    CREATE TABLE conversation (
        id TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        created REAL NOT NULL,
        updated REAL NOT NULL
    );
    CREATE TABLE message (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation TEXT NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
        role TEXT NOT NULL,
        content TEXT NOT NULL,
        created REAL NOT NULL
    );
    CREATE INDEX message_of_conversation ON message (conversation, number);
    """,
    """
    ALTER TABLE message ADD COLUMN typed TEXT;
    ALTER TABLE message ADD COLUMN attached TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE message ADD COLUMN model TEXT NOT NULL DEFAULT '';
    ALTER TABLE message ADD COLUMN finish TEXT NOT NULL DEFAULT '';
    """,
)

VERSION = len(_STEPS)


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file into today's form, in one step for whoever else has it open.

    Raises:
        StorageError: it was written by a newer version of the assistant; nothing is changed.
    """
    version = _version(connection)
    if version == VERSION:
        return
    if version > VERSION:
        raise StorageError(
            f"The history {path} was written by a newer version of the assistant.",
            "Upgrade with the command that installed it, or set STARCHAT_HOME to another folder.",
        )
    if version == 0:
        connection.execute("PRAGMA auto_vacuum = FULL")  # the file shrinks with every deletion; it must be new for this
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)  # somebody else may have been quicker
        for step in _STEPS[version:]:
            for statement in filter(str.strip, step.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
