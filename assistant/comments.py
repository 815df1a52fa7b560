"""Whether two texts differ in comments and documentation alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from tree_sitter import Node

from assistant.definitions import definitions
from assistant.document import Document
from assistant.languages import PYTHON, Language
from assistant.lines import split_lines
from assistant.refusals import CodeChanged
from assistant.trees import node_text, parse_tree, unified, walk

Token = tuple[str, int]
"""A piece of code, and the line that it stands in, counted from 0."""


def refuse_changed_code(document: Document, after: str, reply: str = "") -> None:
    """Let `after` pass where its code is that of `document`; comments, docstrings and blank lines may differ.

    Comments that tools obey (`# noqa`, `//go:build`, `# type: ...`) count as code.

    Raises:
        CodeChanged: naming the first line that differs.
    """
    before, now = code_tokens(document.text, document.language), code_tokens(after, document.language)
    for old, new in zip_longest(before, now):
        if old is None or new is None or old[0] != new[0]:
            raise CodeChanged(_difference(document.text, after, old, new), "Nothing was changed; ask again.", reply)


def same_code(document: Document, after: str) -> bool:
    """Whether `after` is the document's text but for comments, docstrings and blank lines."""
    language = document.language
    if language.grammar is None:
        before, now = code_tokens(document.text, language), code_tokens(after, language)
    else:
        ours, theirs = _differing([parse_tree(document.text, language)], [parse_tree(after, language)])
        before, now = ([token for node in nodes for token in _tokens(node)] for nodes in (ours, theirs))
    return [token for token, _ in before] == [token for token, _ in now]


def code_tokens(text: str, language: Language) -> list[Token]:
    """What `text` consists of beside comments and documentation, structure included.

    A language without a grammar is judged by its lines, where only comments that have lines for themselves are left out.
    """
    if language.grammar is None:
        return list(_code_lines(split_lines(text), language))
    return list(_tokens(parse_tree(text, language)))


def _differing(old: list[Node], new: list[Node]) -> tuple[list[Node], list[Node]]:
    """The nodes in which two lists differ, as deep as a single pair of them goes: the rest of a large file is not looked at."""
    while True:
        head = _alike(old, new)
        tail = _alike(old[head:][::-1], new[head:][::-1])
        old, new = old[head : len(old) - tail], new[head : len(new) - tail]
        if (
            [node.type for node in old] != [node.type for node in new]
            or len(old) != 1
            or _is_whole(old[0])
            or _is_whole(new[0])
        ):
            return old, new
        old, new = old[0].children, new[0].children


def _alike(old: Sequence[Node], new: Sequence[Node]) -> int:
    pairs = enumerate(zip(old, new, strict=False))
    return next((n for n, (a, b) in pairs if a.type != b.type or a.text != b.text), min(len(old), len(new)))


def _is_whole(node: Node) -> bool:
    """Whether a node is one token, or none."""
    return not node.children or _is_comment(node) or _is_docstring(node) or bool(_TEXTS.search(node.type))


def silent_spans(text: str, language: Language) -> tuple[tuple[int, int], ...]:
    """Where comments and docstrings stand: their first character and the one after their last, in order, outermost only."""
    if language.grammar is None:
        return ()
    spans: list[tuple[int, int]] = []
    pending = [parse_tree(text, language)]
    while pending:
        node = pending.pop()
        if node.type.endswith("comment") or _is_docstring(node):
            spans.append((node.start_byte, node.end_byte))
        else:
            pending.extend(reversed(node.children))
    encoded = unified(text).encode("utf-8", "surrogatepass")
    places = [len(encoded[:place].decode("utf-8", "surrogatepass")) for span in spans for place in span]
    return tuple(zip(places[::2], places[1::2], strict=True))


def without_new_docstrings(text: str, before: str, language: Language) -> str:
    """The text without docstrings that definitions of `before` had not, and without the lines that these take.

    New definitions keep theirs, and so does everything where `before` does not parse.
    """
    if language != PYTHON or parse_tree(before, language).has_error:
        return text
    known = {found.name for found in definitions(before, language)}
    lines, gone = split_lines(text), set[int]()
    for node in walk(parse_tree(text, language)):
        if _is_docstring(node) and _documents(node, known) and node_text(node.named_children[0]) not in before:
            first, last = node.start_point, node.end_point
            alone = not unified(lines[first.row]).encode()[: first.column].strip() and (
                not unified(lines[last.row]).encode()[last.column :].strip()
            )
            gone.update(range(first.row, last.row + 1) if alone else ())
    return "".join(
        line for number, line in enumerate(lines) if number not in gone and not (number - 1 in gone and not line.strip())
    )


def _documents(docstring: Node, names: set[str]) -> bool:
    """Whether it begins the body of a definition of one of these names, and is not all of it."""
    block = docstring.parent
    definition = block.parent if block is not None and block.type == "block" else None
    name = definition.child_by_field_name("name") if definition is not None else None
    if block is None or name is None or node_text(name) not in names:
        return False
    statements = [child for child in block.named_children if child.type != "comment"]
    return len(statements) > 1 and statements[0] == docstring


def _difference(before: str, after: str, old: Token | None, new: Token | None) -> str:
    was, now = _line(before, old), _line(after, new)
    if old is None:
        return f"The answer adds code: {now!r}."
    if new is None:
        return f"The answer leaves out code: {was!r}."
    return f"The answer changes code at line {old[1] + 1}: {was!r} became {now!r}."


def _line(text: str, token: Token | None) -> str:
    lines = split_lines(text)
    return lines[token[1]].strip()[:80] if token is not None and token[1] < len(lines) else ""


# Comments that are read by tools: taking one away changes what a program does, or what is reported about it.
_DIRECTIVE = re.compile(
    r"#!|//go:|//\s*\+build|(?:#|//|/\*)\s*(?:type:|noqa|pragma|pylint:|mypy:|fmt:|ruff:|-\*-|coding[:=]|eslint|@ts-|prettier-|nolint"
    r"|shellcheck|rubocop:|frozen_string_literal:)"
)

# What stands between the parts of these is content, white space included.
_TEXTS = re.compile(r"string|heredoc|template|char|regex|raw_text")


def _tokens(root: Node) -> Iterator[Token]:
    pending: list[Node | str] = [root]
    row = 0
    while pending:
        node = pending.pop()
        if isinstance(node, str):
            yield node, row
            continue
        row = node.start_point.row
        if _is_comment(node) or _is_docstring(node):
            continue
        if not node.children or _TEXTS.search(node.type):
            yield node_text(node), row
            continue
        yield f"({node.type}", row
        pending.append(")")
        pending.extend(reversed(node.children))


def _is_comment(node: Node) -> bool:
    return node.type.endswith("comment") and not _DIRECTIVE.match(node_text(node))


def _is_docstring(node: Node) -> bool:
    """Whether this is Python's statement that is a string and nothing else, which no code can notice but by `__doc__`."""
    if node.type != "expression_statement" or len(node.named_children) != 1:
        return False
    string = node.named_children[0]
    return string.type == "string" and not any(child.type == "interpolation" for child in string.children)


def _code_lines(lines: Sequence[str], language: Language) -> Iterator[Token]:
    block = False
    for number, line in enumerate(lines):
        text = line.strip()
        if not block and language.comments == ("//",) and text.startswith("/*"):
            block = True
        if block:
            block = "*/" not in text
            continue
        if text and not (text.startswith(language.comments) and not _DIRECTIVE.match(text)):
            yield line.rstrip(), number
