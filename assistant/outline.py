"""What can be said about a text without a grammar: the block around a line, and brackets that do not match."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from assistant.languages import Language
from assistant.lines import indent, is_blank
from assistant.refusals import Problem

_KEYWORD = re.compile(
    r"^(?:[\w@]+\s+)*?(?:def|defp|defmodule|fn|fun|func|function|sub|proc|class|interface|struct|enum|trait|object|record|module"
    r"|namespace|protocol|extension|impl|macro)\b"
)
_SIGNATURE = re.compile(
    r"^(?!(?:if|for|foreach|while|switch|catch|else|elif|do|try|return|match|when|with|case)\b)[\w<>\[\], *&:~@]+\("
)
_CLOSER = re.compile(r"^(?:[}\])]|end\b)")
_PAIRS = {")": "(", "]": "[", "}": "{"}


def enclosing_block(lines: Sequence[str], language: Language, line: int) -> tuple[int, int] | None:
    """First and last line of the innermost block around `line` whose head looks like a definition, or None.

    A block is its head and the deeper lines below it, up to and with a closing bracket or `end` at the head's depth.
    """
    if language.brackets is False and not language.grammar:
        return None
    for head in range(min(line, len(lines) - 1), -1, -1):
        if _is_head(lines[head]):
            last = _last_of_block(lines, head)
            if last > head and last >= line:
                return head, last
    return None


def unbalanced(lines: Sequence[str], language: Language) -> tuple[Problem, ...]:
    """One problem for each bracket outside strings and comments that has no partner."""
    opened: list[tuple[str, int]] = []
    lonely: list[Problem] = []
    for bracket, line in _brackets("".join(lines), language):
        if bracket in "([{":
            opened.append((bracket, line))
        elif opened and opened[-1][0] == _PAIRS[bracket]:
            opened.pop()
        else:
            lonely.append(Problem(line, f"{bracket!r} closes nothing"))
    lonely += [Problem(line, f"{bracket!r} is never closed") for bracket, line in opened]
    return tuple(sorted(lonely, key=lambda problem: problem.line))


def _is_head(line: str) -> bool:
    text = line.strip()
    return bool(_KEYWORD.match(text) or (_SIGNATURE.match(text) and not text.endswith((";", ","))))


def _last_of_block(lines: Sequence[str], head: int) -> int:
    depth, last = len(indent(lines[head])), head
    for number in range(head + 1, len(lines)):
        line = lines[number]
        if is_blank(line):
            continue
        if len(indent(line)) > depth or line.strip() == "{":
            last = number
            continue
        return number if _CLOSER.match(line.strip()) and len(indent(line)) == depth else last
    return last


def _brackets(text: str, language: Language) -> Iterator[tuple[str, int]]:
    """Brackets and their lines, outside strings and comments."""
    comment = "|".join(re.escape(mark) + r"[^\r\n]*" for mark in language.comments)
    skipped = r"/\*.*?\*/|\"(?:\\.|[^\"\\\r\n])*\"|'(?:\\.|[^'\\\r\n])*'|`(?:\\.|[^`\\])*`"
    token = re.compile(f"(?:{comment or '(?!)'}|{skipped})|(?P<end>\r\n|\r|\n)|(?P<bracket>[()\\[\\]{{}}])", re.DOTALL)
    line = 0
    for found in token.finditer(text):
        if found["bracket"]:
            yield found["bracket"], line
        line += len(re.findall("\r\n|\r|\n", found.group()))
