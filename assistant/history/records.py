"""What is kept: conversations and their messages, as frozen values, and the functions that write and read them."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

from assistant.conversation import Role
from assistant.errors import InputError
from assistant.history.database import reading, writing

_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"
_ID_LENGTH = 8
TITLE_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Summary:
    """A conversation without its messages.  created, updated: Unix times; messages: how many there are."""

    id: str
    title: str
    created: float
    updated: float
    messages: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One message as it is kept.

    content: what the model was shown, or what it said.
    typed: what the user wrote, where the content says it in other words, with files for instance; empty where it is the same.
    attached: the names of what went with it.
    model: who answered.  finish: why the answer ended, `open` where it was cut off by a crash; both may be unknown.
    number: its place in the file, 0 for one that is not kept.  created: Unix time.
    """

    role: Role
    content: str
    typed: str = ""
    attached: tuple[str, ...] = ()
    model: str = ""
    finish: str = ""
    number: int = 0
    created: float = 0.0

    @property
    def shown(self) -> str:
        """What people are shown of it."""
        return self.typed or self.content


def new_id() -> str:
    """A name for a conversation: eight letters and digits that nobody mistakes for others."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_ID_LENGTH))


def title_of(text: str) -> str:
    """The first line that says something, shortened."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= TITLE_LENGTH else f"{line[: TITLE_LENGTH - 1].rstrip()}…"


def add(conversation: str, entry: Entry, title: str = "") -> int:
    """Keep a message, and begin the conversation where it is new; once this returns, the message is on the disk.

    Returns:
        the message's number.

    Raises:
        StorageError: it could not be written; nothing of it was.
    """
    now = time.time()
    with writing() as connection:
        connection.execute(
            "INSERT INTO conversation (id, title, created, updated) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET updated = excluded.updated",
            (conversation, title or title_of(entry.shown), now, now),
        )
        cursor = connection.execute(
            "INSERT INTO message (conversation, role, content, created, typed, attached, model, finish)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                conversation,
                entry.role,
                entry.content,
                now,
                entry.typed or None,
                json.dumps(entry.attached, ensure_ascii=False),
                entry.model,
                entry.finish,
            ),
        )
        return int(cursor.lastrowid or 0)


def amend(number: int, content: str, finish: str = "open") -> None:
    """Put more text into a message that was kept before it was whole; where it was deleted meanwhile, it stays so.

    Raises:
        StorageError: it could not be written; what was there stays.
    """
    with writing() as connection:
        connection.execute("UPDATE message SET content = ?, finish = ? WHERE number = ?", (content, finish, number))


def take_back(conversation: str, numbers: Iterable[int]) -> None:
    """Remove single messages of a conversation, and the conversation itself where none is left.

    Raises:
        StorageError: it could not be written; all of them stay.
    """
    with writing() as connection:
        connection.executemany("DELETE FROM message WHERE number = ?", [(number,) for number in numbers])
        connection.execute(
            "DELETE FROM conversation WHERE id = ? AND NOT EXISTS (SELECT 1 FROM message WHERE conversation = ?)",
            (conversation, conversation),
        )


def listed(limit: int | None = None) -> tuple[Summary, ...]:
    """The conversations, the latest first.

    Raises:
        StorageError: the history cannot be read.
    """
    with reading() as connection:
        rows = (
            connection.execute(f"{SUMMARIES} ORDER BY updated DESC LIMIT ?", (-1 if limit is None else limit,))
            if connection
            else ()
        )
        return tuple(Summary(*row) for row in rows)


def find(name: str) -> Summary:
    """The conversation whose id is `name`, or the only one whose id begins with it.

    Raises:
        InputError: there is none, or there are several.
        StorageError: the history cannot be read.
    """
    found = _starting_with(name.strip().lower())
    if not found:
        raise InputError(f"There is no conversation {name[:40]!r}.", "`assistant history list` shows those there are.")
    if len(found) > 1:
        raise InputError(
            f"Several conversations begin with {name[:40]!r}.",
            f"Give more of the name: {', '.join(one.id for one in found[:5])}.",
        )
    return found[0]


def entries(conversation: str) -> tuple[Entry, ...]:
    """The messages of a conversation, in order; none where it is not kept.

    Raises:
        StorageError: the history cannot be read.
    """
    with reading() as connection:
        return tuple(_entries(connection, conversation)) if connection else ()


def _entries(connection: sqlite3.Connection, conversation: str) -> Iterable[Entry]:
    rows = connection.execute(
        "SELECT role, content, coalesce(typed, ''), attached, model, finish, number, created FROM message"
        " WHERE conversation = ? ORDER BY number",
        (conversation,),
    )
    return (Entry(row[0], row[1], row[2], tuple(json.loads(row[3])), *row[4:]) for row in rows)


def _starting_with(name: str) -> tuple[Summary, ...]:
    if not name.isalnum():
        return ()
    with reading() as connection:
        rows = (
            connection.execute(f"{SUMMARIES} WHERE id >= ? AND id < ? LIMIT 10", (name, f"{name}\U0010ffff"))
            if connection
            else ()
        )
        found = tuple(Summary(*row) for row in rows)
    return tuple(one for one in found if one.id == name) or found


SUMMARIES = (
    "SELECT id, title, created, updated, (SELECT count(*) FROM message WHERE conversation = conversation.id) FROM conversation"
)
