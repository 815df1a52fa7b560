"""Conversations as rows that training reads, or as Markdown for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime

from assistant.history.records import Entry, Summary


def training_row(summary: Summary, entries: Iterable[Entry]) -> str | None:
    """One line of JSON with `messages`, as `assistant-train` reads it; None where nothing was answered.

    What the model was shown is given, attached files included.  A question that never got an answer is left out.
    """
    messages = [{"role": one.role, "content": one.content} for one in answered(entries)]
    return json.dumps({"messages": messages, "id": summary.id}, ensure_ascii=False) if messages else None


def answered(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The messages without a question that was never answered: roles take turns, and the assistant has the last word."""
    kept: list[Entry] = []
    for entry in entries:
        if kept and kept[-1].role == entry.role:
            kept.pop()  # the same was asked again
        if kept or entry.role == "user":
            kept.append(entry)
    return tuple(kept if kept and kept[-1].role == "assistant" else kept[:-1])


def markdown(summary: Summary, entries: Iterable[Entry]) -> Iterator[str]:
    """The lines of a conversation as a Markdown page."""
    yield f"# {summary.title or 'A conversation'}\n\n"
    yield f"{moment(summary.created)}, conversation `{summary.id}`\n"
    for entry in entries:
        heading = "You" if entry.role == "user" else f"Assistant ({entry.model})" if entry.model else "Assistant"
        yield f"\n## {heading}\n\n{entry.shown.strip()}\n"
        if entry.attached:
            yield f"\nAttached: {', '.join(f'`{name}`' for name in entry.attached)}\n"
        if entry.role == "assistant" and entry.finish not in ("", "stop"):
            yield "\n*(cut off)*\n"


def moment(seconds: float) -> str:
    """A Unix time as people write it, in the time of this place."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M}"
