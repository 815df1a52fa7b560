"""Lines around the region that a model repeats before or after its answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from assistant.lines import indent, is_blank, trimmed
from assistant.refusals import NoCode, Unclear

_HEADER = re.compile(
    r"\s*(?:import\b|from\b|use\b|using\b|package\b|@\w|#|//|/\*|\*\s|--|(?:.*(?:[:{]|\bdo|\bthen)\s*$))"  # or a comment
)
_CLOSING = re.compile(r"[\s)\]};,]*$")
_TOO_COMMON = frozenset(
    ("end", "else", "else:", "fi", "done", "esac", "pass", "break", "continue", "return", "try:", "finally:")
)


def without_echo(before: Sequence[str], old: Sequence[str], after: Sequence[str], code: list[str]) -> list[str]:
    """`code` without the lines at its edges that repeat, word for word, what stands just before and just after the region.

    All lines are without line ends.  Two or more telling lines are an echo for certain, and so is a single one that opens a
    block, imports or is a comment.  A closing bracket is one where only then the code's brackets match as the region's do.

    Raises:
        Unclear: a single plain line is repeated; it may be an echo, or meant to stand there twice.
        NoCode: the code is nothing but the lines around the region.
    """
    head = _echo_before(before, old, code)
    rest = code[head:]
    tail = _echo_after(old, after, rest)
    _judge(code[:head] + rest[len(rest) - tail :], code)
    rest = trimmed(rest[: len(rest) - tail])
    if not rest:
        raise NoCode("The answer repeats only the lines around the selection.", "Ask again in other words.", "\n".join(code))
    return rest


def _echo_before(before: Sequence[str], old: Sequence[str], code: Sequence[str]) -> int:
    """How many first lines of `code` are the lines that lead up to the region."""
    for count in range(min(len(before), len(code)), 0, -1):
        if _same(before[len(before) - count :], code[:count]):
            return 0 if _same(old[:count], code[:count]) or not any(map(_tells, code[:count])) else count
    return 0


def _echo_after(old: Sequence[str], after: Sequence[str], code: Sequence[str]) -> int:
    """How many last lines of `code` are the lines that follow the region."""
    for count in range(min(len(after), len(code)), 0, -1):
        last = code[len(code) - count :]
        if _same(after[:count], last) and not _same(old[len(old) - count :], last) and _in_line(old, after, code, count):
            if any(map(_tells, last)):
                return count
            closes = all(map(_CLOSING.match, last)) and _balance(code) != _balance(old) == _balance(code[:-count])
            return count if closes else 0
    return 0


def _judge(echo: Sequence[str], code: Sequence[str]) -> None:
    telling = [line for line in echo if _tells(line)]
    if len(telling) == 1 and not _HEADER.match(telling[0]):
        raise Unclear(
            f"The answer repeats a line beside the selection ({telling[0].strip()[:60]!r}), perhaps on purpose.",
            "Select that line too, and ask again.",
            "\n".join(code),
        )


def _in_line(old: Sequence[str], after: Sequence[str], code: Sequence[str], tail: int) -> bool:
    """Whether the last `tail` lines stand as deep, measured from the first line, as those after the region do."""
    first = next((line for line in old if not is_blank(line)), "")
    pairs = [(mine, theirs) for mine, theirs in zip(code[-tail:], after, strict=False) if not is_blank(mine)]
    if "\t" in "".join(indent(line) for line in (*old, *after)) or "\t" in "".join(indent(line) for line in code):
        return True  # columns of tabs and spaces cannot be compared
    shift = len(indent(first)) - len(indent(next(line for line in code if not is_blank(line))))
    return all(len(indent(mine)) + shift == len(indent(theirs)) for mine, theirs in pairs)


def _same(one: Sequence[str], other: Sequence[str]) -> bool:
    return len(one) == len(other) and all(a.strip() == b.strip() for a, b in zip(one, other, strict=True))


def _tells(line: str) -> bool:
    return sum(character.isalnum() for character in line) >= 3 and line.strip() not in _TOO_COMMON


def _balance(lines: Sequence[str]) -> int:
    text = "".join(lines)
    return sum(text.count(opening) for opening in "([{") - sum(text.count(closing) for closing in ")]}")
