r"""Lines as editors count them: they end in `\n`, `\r\n` or `\r`, and in nothing else.

`str.splitlines` also splits at form feed, NEL, U+2028 and others, which would shift every edit below such a character.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def split_lines(text: str) -> list[str]:
    """The lines of `text`, each with its own line end; the last may have none.  Joined, they are `text` again."""
    return _LINE.findall(text)


def body(line: str) -> str:
    """`line` without its line end."""
    return line.rstrip("\r\n")


def end(line: str) -> str:
    r"""The line end of `line`: `\n`, `\r\n`, `\r`, or nothing."""
    return line[len(body(line)) :]


def common_end(lines: Sequence[str]) -> str:
    r"""The line end that most of `lines` have; `\n` where none has one."""
    ends = Counter(end(line) for line in lines if end(line))
    return ends.most_common(1)[0][0] if ends else "\n"


def indent(line: str) -> str:
    """The spaces and tabs at the start of `line`."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def is_blank(line: str) -> bool:
    """Whether `line` holds nothing but white space."""
    return not line.strip()


def line_starts(lines: Sequence[str]) -> list[int]:
    """Where each of `lines` starts, in characters, and after them where the text ends: `len(lines) + 1` offsets."""
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    return starts


def trimmed(lines: Sequence[str]) -> list[str]:
    """`lines` without the blank ones at both ends."""
    telling = [number for number, line in enumerate(lines) if not is_blank(line)]
    return list(lines[telling[0] : telling[-1] + 1]) if telling else []
