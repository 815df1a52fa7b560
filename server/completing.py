"""Inline completion: what belongs between the text before the cursor and the text behind it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from assistant.errors import AssistantError
from server.documents import OpenDocument
from server.model import connected
from server.options import resolve
from server.session import Session

PREFIX, SUFFIX = 4000, 1500
"""Characters before and behind the cursor that the model is shown."""

DEBOUNCE_SECONDS = 0.075
LINE_TOKENS, BLOCK_TOKENS = 24, 96
RECENT = 50


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor in a text: what stands before it and behind it, as far as the model is shown."""

    uri: str
    before: str
    behind: str

    @property
    def rest(self) -> str:
        """What stands behind the cursor in its own line."""
        return self.behind.split("\n", 1)[0].rstrip("\r")

    @property
    def wants_block(self) -> bool:
        """Whether several lines fit here: on an empty line, or after what opens a block, with nothing behind it."""
        line = self.before.rpartition("\n")[2].strip()
        return not self.rest.strip() and (not line or line.endswith((":", "{", "(", "[", "=>")))


def place_of(document: OpenDocument, line: int, offset: int) -> Place:
    """The place at a character of a line; line ends count as one character."""
    text = [each.rstrip("\r\n") for each in document.lines]
    before = "\n".join([*text[max(0, line - 200) : line], text[line][:offset]])[-PREFIX:]
    behind = "\n".join([text[line][offset:], *text[line + 1 : line + 80]])[:SUFFIX]
    return Place(document.uri, before, behind)


async def complete(session: Session, place: Place) -> str:
    """The text to insert; empty where there is none, or no model that could be asked without bothering anybody."""
    known = _recalled(session, place)
    if known:
        return known
    if session.prepared is None and not resolve(session.options).endpoint:
        session.warm_up()
        return ""
    await asyncio.sleep(DEBOUNCE_SECONDS)  # whoever types on cancels this
    try:
        async with connected(session, lambda message, share: None) as client:
            most = BLOCK_TOKENS if place.wants_block else LINE_TOKENS
            stop = ("\n\n",) if place.wants_block else ("\n",)
            raw = await client.complete(place.before, place.behind or "\n", most, stop)
    except AssistantError:  # nobody asked for this, so nobody is told that it cannot be had
        return ""
    text = fitted(raw, place)
    if text:
        session.completed[place] = text
        for old in list(session.completed)[:-RECENT]:
            del session.completed[old]
    return text


def fitted(raw: str, place: Place) -> str:
    """A completion without what stands behind the cursor already, and without empty ends."""
    text = raw.rstrip()
    if not place.wants_block:
        text = text.split("\n", 1)[0]
    for length in range(min(len(text), len(place.rest)), 0, -1):
        if text.endswith(place.rest[:length]):
            return text[:-length]
    behind = place.behind.strip("\n").split("\n", 1)[0].strip()
    lines = text.split("\n")
    return "\n".join(lines[:-1]) if behind and len(lines) > 1 and lines[-1].strip() == behind else text


def _recalled(session: Session, place: Place) -> str:
    """What is left of a recent completion that the user is typing."""
    for known, text in reversed(session.completed.items()):
        typed = place.before.removeprefix(known.before) if place.before.startswith(known.before) else None
        if typed is not None and (known.uri, known.behind) == (place.uri, place.behind) and text.startswith(typed):
            return text[len(typed) :]
    return ""
