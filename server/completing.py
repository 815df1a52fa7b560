"""Inline completion: what belongs between the text before the cursor and the text behind it."""

from __future__ import annotations

import asyncio
import time
from itertools import accumulate

from assistant.errors import AssistantError
from assistant.languages import PLAIN, Language, language_of, language_of_fence
from server.completions import RECENT, Window
from server.documents import OpenDocument
from server.files import path_of
from server.fitting import Place, fitted, wants_block
from server.model import connected
from server.options import resolve
from server.session import Session

DEBOUNCE_SECONDS = 0.075
LINE_TOKENS, BLOCK_TOKENS = 24, 96


def place_of(document: OpenDocument, line: int, offset: int, window: Window) -> Place:
    """The place at a character of a line; line ends count as one character.

    What stands before begins at a line that stays the same while the user types, so that the model has read it already.
    """
    text = [each.rstrip("\r\n") for each in document.lines]
    starts = [0, *accumulate(len(each) + 1 for each in text[:line])]
    step = window.before // 2
    earliest = max(0, (starts[line] // step - 1) * step)
    first = next((n for n in range(line + 1) if starts[n] >= earliest), line)
    before = "\n".join([*text[first:line], text[line][:offset]])
    behind = "\n".join([text[line][offset:], *text[line + 1 : line + 80]])[: window.behind]
    return Place(document.uri, before[-2 * window.before :], behind, _language(document))


async def complete(session: Session, place: Place, *, at_once: bool = False) -> str:
    """The text to insert; empty where there is none, or no model that could be asked without bothering anybody.

    at_once: the user asked for it, so that there is nobody to wait for.
    """
    known = _recalled(session, place)
    if known:
        return known
    if session.prepared is None and not resolve(session.options).endpoint:
        session.warm_up()
        return ""
    if not at_once:
        await asyncio.sleep(DEBOUNCE_SECONDS)  # whoever types on cancels this
    block = wants_block(place)
    began = time.monotonic()
    try:
        async with connected(session, lambda message, share: None) as client:
            stop = ("\n\n",) if block else ("\n",)
            raw = await client.complete(place.before, place.behind or "\n", BLOCK_TOKENS if block else LINE_TOKENS, stop)
    except AssistantError:  # nobody asked for this, so nobody is told that it cannot be had
        return ""
    if not block:
        session.completions.took(time.monotonic() - began)
    text = fitted(raw, place)
    if text:
        _remember(session, place, text)
    return text


def _remember(session: Session, place: Place, text: str) -> None:
    recent = session.completions.recent
    recent[place] = text
    for old in list(recent)[:-RECENT]:
        del recent[old]


def _recalled(session: Session, place: Place) -> str:
    """What is left of a recent completion that the user is typing."""
    for known, text in reversed(session.completions.recent.items()):
        if known.uri != place.uri or known.behind[:80] != place.behind[:80] or not place.before.startswith(known.before):
            continue
        typed = place.before[len(known.before) :]
        if text.startswith(typed) and text != typed:
            return text[len(typed) :]
    return ""


def _language(document: OpenDocument) -> Language:
    language = language_of(path_of(document.uri))
    return language if language is not PLAIN else language_of_fence(document.language_id) or PLAIN
