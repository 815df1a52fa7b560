"""Syntax trees by tree-sitter: made with the grammar of a language, which is loaded when it is first needed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module

from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser

from assistant.languages import Language
from assistant.lines import body, split_lines


def parse_tree(text: str, language: Language) -> Node:
    """The root of `text`'s syntax tree; its rows are the lines of `assistant.lines`.  `language` must have a grammar."""
    assert language.grammar is not None
    parser = Parser(_grammar(*language.grammar))  # one for each text: threads must not share one
    return parser.parse(unified(text).encode("utf-8", "surrogatepass")).root_node


def unified(text: str) -> str:
    r"""`text` with `\n` for every line end, so that the parser counts the lines that we count."""
    return "".join(body(line) + "\n" for line in split_lines(text))


@cache
def _grammar(module: str, function: str) -> Grammar:
    return Grammar(getattr(import_module(module), function)())


def walk(node: Node, into_errors: bool = True) -> Iterator[Node]:
    """`node` and all below it that could matter; with `into_errors` off, only the roads to outermost errors."""
    pending = [node]
    while pending:
        node = pending.pop()
        yield node
        if into_errors or (node.has_error and not node.is_error):
            pending.extend(reversed(node.children))


def node_text(node: Node) -> str:
    """The source text that `node` covers."""
    return (node.text or b"").decode(errors="replace")
