"""Code that a model left out: "... existing code ...", "# rest of the function unchanged" and their like."""

from __future__ import annotations

import re
from collections.abc import Sequence

from assistant.languages import PYTHON, Language
from assistant.lines import indent, is_blank
from assistant.refusals import Elided

_THING = (
    r"(?:code|file|functions?|methods?|class(?:es)?|module|implementations?|program|script|logic|body|tests?|imports?|lines?)"
)
_STATE = (
    r"(?:(?:is|are|stays?|remains?|goes|go|continues?|kept|left|as|the|same|unchanged|unmodified|untouched|before|above|is|here|below)"
    r"|(?:omitted|snipped|elided|for brevity))"
)
_ADJECTIVE = r"(?:existing|previous|original|remaining|other|unchanged|same|current|old|your)"
_MARKERS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?:keep )?(?:the )?(?:rest|remainder) of (?:the |your |this |my )?(?:{_ADJECTIVE} )?(?:\w+ )?{_THING}(?: {_STATE})*",
        rf"(?:the )?(?:rest|remainder)(?: {_STATE})+",
        rf"(?:keep |the |all )*(?:existing|unchanged|remaining|your existing) {_THING}(?: {_STATE})*",
        rf"(?:keep |the |all |your )*(?:{_ADJECTIVE} )+(?:\w+ )?{_THING}(?: {_STATE})+",
        rf"(?:the |this )?(?:\w+ )?{_THING} (?:is |are |stays? |remains? )*(?:unchanged|the same|as before|as is)",
        rf"(?:(?:is|stays|remains) )?(?:unchanged|same as (?:before|above|original)|as before)(?: {_STATE})*",
        rf"(?:{_THING} )?(?:omitted|snipped|elided|snip)(?: for brevity)?(?: {_STATE})*",
        rf"(?:your |the )?(?:{_THING} )(?:goes |stays )?here",
        r"no (?:other )?changes?(?: (?:are )?needed)?(?: (?:here|below|above))*",
    )
)
_DOTTED = re.compile(
    r"\b(?:existing|rest|remaining|remainder|unchanged|previous|others?|same|omitted|before|above|original|snip|as is|here)\b"
    rf"|\b{_THING}\b",
    re.IGNORECASE,
)
_DOTS = re.compile(r"\.{3,}|…")
_BRACED_DOTS = re.compile(r"\{\s*(?:/\*\s*)?(?:\.\.\.|…)\s*(?:\*/\s*)?\}")
_COMMENT = re.compile(r"(?:#+|//+|--+|;+|%+|/\*+|<!--+|\*|\{/\*)\s*(.*?)\s*(?:\*+/\}?|--+>)?$")
_PLACEHOLDERS = ("", "pass", "...", "{", "}", "return")


def refuse(new: Sequence[str], old: Sequence[str], language: Language, reply: str = "") -> None:
    """Let `new` lines pass unless they hold an elision that the `old` ones do not.

    Raises:
        Elided: naming the line.
    """
    line = elided_line(new, old, language)
    if line is not None:
        raise Elided(
            f"The answer leaves code out ({line.strip()[:60]!r}); nothing was changed.",
            "Ask for the whole text, or choose a smaller region.",
            reply,
        )


def elided_line(new: Sequence[str], old: Sequence[str], language: Language) -> str | None:
    """The first line of `new` that stands for code left out and is not among `old`, or None."""
    known = {_key(line) for line in old}
    for number, line in enumerate(new):
        if not is_blank(line) and _key(line) not in known and _elides(new, number, known, language):
            return line
    return None


def _elides(lines: Sequence[str], number: int, known: set[str], language: Language) -> bool:
    line = lines[number].strip()
    if _DOTS.fullmatch(line):
        return language != PYTHON or _stands_for_code(lines, number, known)
    if _BRACED_DOTS.search(line) and not line.startswith(("'", '"')):
        return True
    comment = _comment_of(line, language)
    if comment is not None:
        return _is_marker(comment)
    bracketed = re.fullmatch(r"[\[(<{](.*)[\])>}]", line)
    return _is_marker(bracketed[1]) if bracketed else bool(_DOTS.match(line)) and _is_marker(line)


def _stands_for_code(lines: Sequence[str], number: int, known: set[str]) -> bool:
    """Whether a lone `...` in Python replaces statements: among others, or as the body of something that had another body."""
    before = next((line for line in reversed(lines[:number]) if not is_blank(line)), "")
    after = next((line for line in lines[number + 1 :] if not is_blank(line)), "")
    alone = before.rstrip().endswith(":") and len(indent(after)) < len(indent(lines[number]))
    return not alone or _key(before) in known


def _comment_of(line: str, language: Language) -> str | None:
    """The text of a comment that has a line, or a placeholder, for itself."""
    whole = _COMMENT.match(line)
    if whole and (language.comments or line.startswith(("<!--", "/*", "//"))):  # `#` begins a heading in Markdown
        return whole[1]
    for mark in (*language.comments, "/*"):
        code, found, _ = line.partition(mark)
        code = code.strip()
        if found and (code in _PLACEHOLDERS or code.endswith((": ...", "{", ": pass"))):
            comment = _COMMENT.match(line[line.index(mark) :].rstrip("} "))
            return comment[1] if comment else None
    return None


def _is_marker(comment: str) -> bool:
    """Whether the whole of `comment` only says that code is left out."""
    words = _DOTS.sub(" ", comment)
    words = " ".join(re.sub(r"[^\w\s']", " ", words).split())
    if any(marker.fullmatch(words) for marker in _MARKERS):
        return True
    dots = _DOTS.match(comment) or _DOTS.search(comment[-4:])
    return bool(dots) and (not words or (len(words.split()) <= 8 and bool(_DOTTED.search(words))))


def _key(line: str) -> str:
    return " ".join(line.split()).lower()
