"""Cutting a completion to the place where it is to stand: one line or a block, and nothing that stands there already."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.languages import PLAIN, Language
from assistant.syntax import in_text

OPENERS = (":", "{", "(", "[", "=>", "->", "do", "then")
CLOSERS = ("}", ")", "]", "end", "fi", "done", "esac")


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor in a text: what stands before it and behind it, as far as the model is shown."""

    uri: str
    before: str
    behind: str
    language: Language = PLAIN

    @property
    def line(self) -> str:
        """What stands before the cursor in its own line."""
        return self.before.rpartition("\n")[2]

    @property
    def rest(self) -> str:
        """What stands behind the cursor in its own line."""
        return self.behind.split("\n", 1)[0].rstrip("\r")


def wants_block(place: Place) -> bool:
    """Whether several lines fit here: on an empty line, or after what opens a block, with nothing behind it.

    In a comment or a string only one line is written.
    """
    line = place.line.strip()
    if place.rest.strip() or (line and not line.endswith(OPENERS)):
        return False
    return not in_text(place.before + place.behind, place.language, len(place.before))


def fitted(raw: str, place: Place) -> str:
    """A completion without what stands behind the cursor already, and without empty ends."""
    text = raw.rstrip()
    if not wants_block(place):
        return _without_overlap(text.split("\n", 1)[0], place.rest)
    lines = _without_following(_block(text.split("\n"), place.line), place.behind.split("\n")[1:])
    return "\n".join(lines).rstrip()


def _without_overlap(text: str, rest: str) -> str:
    """`text` without an end that the rest of the line begins with."""
    for length in range(min(len(text), len(rest)), 0, -1):
        if text.endswith(rest[:length]):
            return text[:-length]
    return text


def _block(lines: list[str], line: str) -> list[str]:
    """The lines as far as they belong to the block that begins at the cursor, its closing bracket included."""
    depth, opened = _indent(line), bool(line.strip())
    for number, each in enumerate(lines):
        if number == 0 or not each.strip():
            continue
        if _indent(each) < depth or (opened and _indent(each) == depth):
            closes = _indent(each) == depth and each.strip().startswith(CLOSERS)
            return lines[: number + closes]
    return lines


def _without_following(lines: list[str], following: list[str]) -> list[str]:
    """The lines without those at their end that stand behind the cursor already."""
    wanted = [each.strip() for each in following if each.strip()]
    for count in range(min(len(lines), len(wanted), 8), 0, -1):
        if [each.strip() for each in lines[-count:]] == wanted[:count]:
            return lines[:-count]
    return lines


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
