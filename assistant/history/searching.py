r"""Finding conversations by what was said in them.

Every message is looked at: 50,000 messages of 68 MB take 0.3 seconds, and no index keeps a second copy of what people wrote.
`LIKE` knows upper and lower case of ASCII letters only, so that other words are compared by Python.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass

from assistant.history.database import reading
from assistant.history.records import SUMMARIES, Summary

_WORD = re.compile(r'"([^"]+)"|(\S+)')
_AROUND = 60


@dataclass(frozen=True, slots=True)
class Hit:
    """A conversation that was found, and a line of text around the first place; empty where only the title has it."""

    summary: Summary
    excerpt: str


def search(text: str, limit: int = 20) -> tuple[Hit, ...]:
    """Conversations in which every word of `text` occurs, in any case, the latest first; "several words" stand together.

    Raises:
        StorageError: the history cannot be read.
    """
    words = [phrase or word for phrase, word in _WORD.findall(text)]
    with reading() as connection:
        if connection is None or not words:
            return ()
        connection.create_function("holds", 2, _holds, deterministic=True)
        tests = " AND ".join(map(_said, words))
        values = [value for word in words for value in (_value(word), _value(word))]
        rows = connection.execute(f"{SUMMARIES} WHERE {tests} ORDER BY updated DESC LIMIT ?", (*values, limit)).fetchall()
        return tuple(Hit(summary, _excerpt(connection, summary, words)) for summary in (Summary(*row) for row in rows))


def _said(word: str) -> str:
    """The condition that a conversation has this word in its title or in a message."""
    return f"({_has('title', word)} OR id IN (SELECT conversation FROM message WHERE {_has('content', word)}))"


def _has(column: str, word: str) -> str:
    return rf"{column} LIKE ? ESCAPE '\'" if word.isascii() else f"holds({column}, ?)"


def _value(word: str) -> str:
    return "%" + re.sub(r"([\\%_])", r"\\\1", word) + "%" if word.isascii() else word.casefold()


def _holds(text: str, word: str) -> bool:
    return word in text.casefold()


def _excerpt(connection: sqlite3.Connection, summary: Summary, words: list[str]) -> str:
    rows = connection.execute("SELECT content FROM message WHERE conversation = ? ORDER BY number", (summary.id,))
    pattern = re.compile("|".join(map(re.escape, words)), re.IGNORECASE)
    for (content,) in rows:
        found = pattern.search(content)
        if found:
            start, end = max(0, found.start() - _AROUND), found.end() + _AROUND
            shown = " ".join(content[start:end].split())
            return f"{'…' if start else ''}{shown}{'…' if end < len(content) else ''}"
    return ""
