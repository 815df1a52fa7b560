"""Examples in docstrings, as a check: `>>> f(1)` with what follows, and lines such as `f(1) -> 2` or `f(1) == 2`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from assistant.document import Document
from assistant.region import Region

_UNPARSABLE = (SyntaxError, ValueError, MemoryError, RecursionError)  # the last two for what is nested too deeply

_LONGEST = 100
"""Lines of one example at most: each is looked at anew for every line that is added."""


@dataclass(frozen=True, slots=True)
class Example:
    """An expression or statement, and what it should show; `wanted` is empty where it only prepares the next one."""

    source: str
    wanted: str


def examples_of(document: Document, region: Region) -> tuple[Example, ...]:
    """Examples in the document's docstrings that use what the region defines; none where it is no Python, or does not parse."""
    if document.language.name != "Python":
        return ()
    try:
        tree = ast.parse(document.text)
    except _UNPARSABLE:
        return ()
    names = frozenset(_defined(tree, region))
    found = [group for text in _docstrings(tree) for group in _groups(text, names)]
    return tuple(example for group in found if _uses(group, names) for example in group)


def _defined(tree: ast.Module, region: Region) -> Iterator[str]:
    """Names of functions and classes that the region touches."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first, last = node.lineno - 1, node.end_lineno or node.lineno
            if first < region.end and last > region.start:
                yield node.name


def _docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            text = ast.get_docstring(node)
            if text:
                yield text


def _groups(text: str, names: frozenset[str]) -> Iterator[list[Example]]:
    """Examples of one docstring: those with a prompt belong together, since one may prepare the next."""
    lines = text.splitlines()
    prompted = list(_prompted(lines))
    if prompted:
        yield prompted
        return
    for line in lines:
        if example := _arrow(line, names):
            yield [example]


def _prompted(lines: list[str]) -> Iterator[Example]:
    """Examples after `>>>`.  A source that goes on without `...` is taken as far as it needs to parse."""
    place = 0
    while place < len(lines):
        stripped = lines[place].strip()
        place += 1
        if not stripped.startswith(">>>"):
            continue
        source = stripped[3:].strip()
        last = place + _LONGEST
        while place < min(last, len(lines)) and (lines[place].strip().startswith("...") or not _parses(source)):
            if lines[place].strip().startswith(">>>") or not lines[place].strip():
                break
            source += "\n" + re.sub(r"^\s*\.\.\. ?", "", lines[place])
            place += 1
        wanted: list[str] = []
        while place < len(lines) and lines[place].strip() and not lines[place].strip().startswith(">>>"):
            wanted.append(lines[place].strip())
            place += 1
        if _parses(source):
            yield Example(source, "\n".join(wanted))


_ARROW = re.compile(
    r"\s*(?:[-*•\d.)]+\s+)?(?P<call>[A-Za-z_][\w.]*\(.*\))\s*(?:=+>|-+>|➞|→|==?|returns|#)\s*(?P<wanted>.+?)\s*$"
)


def _arrow(line: str, names: frozenset[str]) -> Example | None:
    """`f(1) -> 2`, where `f` is one of the names and the right side is a value."""
    match = _ARROW.match(line)
    if match is None:
        return None
    source, wanted = match["call"], match["wanted"].rstrip(".;,")
    try:
        ast.literal_eval(wanted)
        call = ast.parse(source, mode="eval").body
    except _UNPARSABLE:
        return None
    named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in names
    return Example(source, wanted) if named else None


def _uses(group: list[Example], names: frozenset[str]) -> bool:
    """Whether one of the examples that want something uses one of the names."""
    found = {
        node.id if isinstance(node, ast.Name) else node.attr
        for example in group
        for node in ast.walk(ast.parse(example.source))
        if isinstance(node, (ast.Name, ast.Attribute))
    }
    return bool(found & names) and any(example.wanted for example in group)


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except _UNPARSABLE:
        return False
    return True
