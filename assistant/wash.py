"""What clings to a model's code and is no part of it: thoughts, fences, control words, blank lines at the edges."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from assistant.control_words import without_control_words
from assistant.languages import Language
from assistant.lines import body, is_blank, split_lines, trimmed
from assistant.refusals import HiddenCharacters

_THOUGHT = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)
_STRING = re.compile(r"[rRuU]?[\"']")
_HIDDEN = re.compile("[\0-\x08\x0b\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_FENCE = re.compile(r"^[ \t]*(?:`{3,}[^`]*|~{3,}.*)$")


def washed(code: str, old: Sequence[str], language: Language) -> list[str]:
    """The lines of `code`, without line ends, trailing blanks kept; empty where nothing but washing remains.

    `old` are the region's own lines: what they have at an edge, the code may have there too.
    """
    text = "".join(old)
    code = code if "<think>" in text else _THOUGHT.sub("", code)
    if without_control_words(text.strip()) == text.strip():
        code = without_control_words(code)
    lines = trimmed([body(line) for line in split_lines(code)])
    return trimmed(_without_docstring_of_the_file(trimmed(_without_fences(lines, old, language)), old, language))


def refuse_hidden(code: str, old: str, reply: str = "") -> None:
    """Refuse characters that nobody sees and terminals or compilers obey, where the old text has none of this kind.

    Raises:
        HiddenCharacters: naming the first.
    """
    found = next((each for each in _HIDDEN.findall(code) if each not in old), "")
    if found:
        raise HiddenCharacters(
            f"The answer's code holds the hidden character U+{ord(found):04X}.", "Nothing was written; ask again.", reply
        )


def _without_docstring_of_the_file(lines: list[str], old: Sequence[str], language: Language) -> list[str]:
    """Python's `lines` without a string before all code, where the region has none: the model repeats the file's."""
    if language.name != "Python" or not lines or not _STRING.match(lines[0]) or any(_STRING.match(line) for line in old[:1]):
        return lines
    try:
        first = ast.parse("\n".join(lines)).body[0]
    except (SyntaxError, ValueError, IndexError):
        return lines
    text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return lines[first.end_lineno or 0 :] if text else lines


def _without_fences(lines: list[str], old: Sequence[str], language: Language) -> list[str]:
    """`lines` without a fence around them; where fences are the region's business, only one that has no partner goes."""
    fences = sum(bool(_FENCE.match(line)) for line in lines)
    own = any(_FENCE.match(body(line)) for line in old) or language.fence == "markdown"
    if not fences or (own and (fences % 2 == 0 and not _wrapped(lines, old))):
        return lines
    first = 1 if _FENCE.match(lines[0]) else 0
    last = 1 if _FENCE.match(lines[-1]) and len(lines) > first else 0
    return lines[first : len(lines) - last]


def _wrapped(lines: Sequence[str], old: Sequence[str]) -> bool:
    """Whether all of `lines` is in one fence, which the region's lines are not."""
    inside = [line for line in old if not is_blank(line)]
    both = bool(_FENCE.match(lines[0]) and _FENCE.match(lines[-1]))
    return both and bool(inside) and not _FENCE.match(body(inside[0]))
