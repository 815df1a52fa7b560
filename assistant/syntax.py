"""What a source text's structure says: its definitions, the one around a line, and its syntax errors.

Ten languages have a tree-sitter grammar, loaded when it is first needed.  The others get bracket balance for errors and
indentation for definitions (`assistant.outline`).  Line numbers count from 0, by the lines of `assistant.lines`.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from itertools import chain

from tree_sitter import Node

from assistant.definitions import Definition, definitions
from assistant.languages import PLAIN, PYTHON, Language, language_of, language_of_fence
from assistant.lines import split_lines
from assistant.outline import enclosing_block, unbalanced
from assistant.refusals import Problem
from assistant.trees import node_text, parse_tree, unified, walk

__all__ = [
    "PLAIN",
    "Definition",
    "Language",
    "Problem",
    "definitions",
    "enclosing_definition",
    "in_text",
    "language_of",
    "language_of_fence",
    "problems",
    "string_lines",
]


def enclosing_definition(text: str, language: Language, line: int) -> tuple[int, int] | None:
    """First and last line (both included) of the innermost definition around `line`, or None where there is none."""
    around = [found for found in definitions(text, language) if found.start <= line < found.end]
    if around:
        innermost = min(around, key=lambda found: found.end - found.start)
        return innermost.start, innermost.end - 1
    if language.grammar and not parse_tree(text, language).has_error:
        return None
    return enclosing_block(split_lines(text), language, line)


def problems(text: str, language: Language) -> tuple[Problem, ...]:
    """The syntax errors of `text`, in order; empty for prose and markup.

    Python that the grammar accepts is also given to Python's own parser, which knows about indentation.
    """
    if language.grammar is None:
        return unbalanced(split_lines(text), language) if language.brackets else ()
    found = tuple(_errors(parse_tree(text, language)))
    return found or (_python_problems(text) if language == PYTHON else ())


def in_text(text: str, language: Language, offset: int) -> bool:
    """Whether a cursor before the character at `offset` stands in a comment or a string; False without a grammar."""
    if language.grammar is None or offset == 0:
        return False
    place = len(unified(text[:offset] + "x").encode("utf-8", "surrogatepass")) - 2
    node: Node | None = parse_tree(text, language).descendant_for_byte_range(place - 1, place - 1)
    while node is not None:
        if (node.type in _STRINGS and node.start_byte < place < node.end_byte) or "comment" in node.type:
            return True
        node = node.parent
    return False


def string_lines(text: str, language: Language) -> frozenset[int]:
    """The lines that begin inside a string literal, where indentation is content."""
    if language.grammar is None:
        return frozenset()
    spans = (
        range(node.start_point.row + 1, node.end_point.row + 1)
        for node in walk(parse_tree(text, language))
        if node.type in _STRINGS and node.end_point.row > node.start_point.row
    )
    return frozenset(chain.from_iterable(spans))


_STRINGS = frozenset(
    (
        "string",
        "template_string",
        "string_literal",
        "raw_string_literal",
        "raw_string",
        "heredoc_body",
        "text_block",
        "interpreted_string_literal",
        "string_array",
    )
)


def _errors(root: Node) -> Iterator[Problem]:
    for node in walk(root, into_errors=False):
        if node.is_missing:
            yield Problem(node.start_point.row, f"{node.type!r} is missing")
        elif node.is_error:
            near = node_text(node).strip().split("\n")[0][:40]
            yield Problem(node.start_point.row, f"unexpected {near!r}" if near else "syntax error")


def _python_problems(text: str) -> tuple[Problem, ...]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(unified(text))
    except SyntaxError as error:
        return (Problem(max((error.lineno or 1) - 1, 0), error.msg),)
    except (ValueError, RecursionError, MemoryError):  # not a judgement on the syntax
        return ()
    return ()
