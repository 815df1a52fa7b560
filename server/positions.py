"""Positions of the protocol, in the units that client and server agreed on, and offsets in a line of Python text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, get_args

Encoding = Literal["utf-16", "utf-8", "utf-32"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)


def choose(offered: Iterable[object]) -> Encoding:
    """The first encoding of the client's list that we know; utf-16 where there is none, as the protocol has it."""
    for name in offered:
        for known in ENCODINGS:
            if name == known:
                return known
    return "utf-16"


def to_offset(line: str, units: int, encoding: Encoding) -> int:
    """The character of `line` at `units`; a number past the line's text means its end, one inside a character its start."""
    text = line.rstrip("\r\n")
    if encoding == "utf-32" or text.isascii():
        return min(units, len(text))
    width, passed = _WIDTHS[encoding], 0
    for offset, character in enumerate(text):
        passed += width(character)
        if passed > units:
            return offset
    return len(text)


def to_units(line: str, offset: int, encoding: Encoding) -> int:
    """How many units the first `offset` characters of `line` have."""
    text = line[:offset]
    return len(text) if encoding == "utf-32" or text.isascii() else sum(map(_WIDTHS[encoding], text))


def position_of(lines: Sequence[str], starts: Sequence[int], offset: int, encoding: Encoding) -> tuple[int, int]:
    """Line and units of the character at `offset` of the text that `lines` are; `starts` is `line_starts(lines)`."""
    from bisect import bisect_right

    line = bisect_right(starts, offset, hi=max(1, len(lines))) - 1
    if line == len(lines) - 1 and offset == starts[-1] and lines[line].endswith(("\n", "\r")):
        return len(lines), 0
    return line, to_units(lines[line], offset - starts[line], encoding) if lines else 0


def _utf8(character: str) -> int:
    number = ord(character)
    return 1 if number < 0x80 else 2 if number < 0x800 else 3 if number < 0x10000 else 4


def _utf16(character: str) -> int:
    return 2 if ord(character) > 0xFFFF else 1


_WIDTHS: dict[str, Callable[[str], int]] = {"utf-8": _utf8, "utf-16": _utf16}
