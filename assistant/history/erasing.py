"""Taking conversations out of the file again: what is deleted is overwritten with zeros, and the file shrinks.

What model hosts have computed of conversations goes with any of them, since it cannot be told apart.
"""

from __future__ import annotations

import time

from assistant import prefixes
from assistant.history.database import reading, writing

DAY_SECONDS = 86_400.0


def delete(conversation: str) -> None:
    """Delete one conversation.

    Raises:
        StorageError: the file cannot be written; nothing was deleted.
    """
    with writing() as connection:
        connection.execute("DELETE FROM conversation WHERE id = ?", (conversation,))
    prefixes.forget()


def delete_older(days: float) -> int:
    """Delete conversations in which nothing was said for so many days; returns how many there were.

    Raises:
        StorageError: the file cannot be written; nothing was deleted.
    """
    with writing() as connection:
        deleted = connection.execute("DELETE FROM conversation WHERE updated < ?", (_before(days),)).rowcount
    prefixes.forget()
    return deleted


def delete_all() -> int:
    """Delete every conversation; returns how many there were.  The file stays, for others may be writing to it.

    Raises:
        StorageError: the file cannot be written; nothing was deleted.
    """
    with writing() as connection:
        deleted = connection.execute("DELETE FROM conversation").rowcount
    prefixes.forget()
    return deleted


def older(days: float | None) -> int:
    """How many conversations `delete_older` would delete; with None, how many there are.

    Raises:
        StorageError: the history cannot be read.
    """
    before = float("inf") if days is None else _before(days)
    with reading() as connection:
        if connection is None:
            return 0
        return int(connection.execute("SELECT count(*) FROM conversation WHERE updated < ?", (before,)).fetchone()[0])


def _before(days: float) -> float:
    return time.time() - days * DAY_SECONDS
