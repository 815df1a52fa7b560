"""What a new test file begins with: the imports of the code under test, which a model need not guess."""

from __future__ import annotations

import ast
import builtins
import keyword
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from assistant.document import Document
from assistant.languages import PYTHON
from assistant.lines import end, split_lines
from assistant.region import Region
from assistant.syntax import definitions


def opening_of_tests(document: Document, region: Region) -> str:
    """The first lines of a test file for the region, each with its newline; empty where the language's way is not known."""
    names = names_under_test(document, region)
    if document.path is None or not names:
        return ""
    if document.language == PYTHON:
        return _python(document.path, names)
    if document.language.name in ("JavaScript", "TypeScript"):
        return _javascript(document, names)
    return ""


def names_under_test(document: Document, region: Region) -> tuple[str, ...]:
    """The outermost definitions that have lines in the region, in order, without private ones where others are there."""
    found = [
        each for each in definitions(document.text, document.language) if each.start < region.end and region.start < each.end
    ]
    names = list(dict.fromkeys(each.path[0] for each in found))
    public = [name for name in names if not name.startswith("_")]
    return tuple(public or names)


def module_name(path: Path) -> str:
    """The dotted name by which Python imports the file at `path`, packages around it included; empty where it cannot."""
    absolute = path.absolute()
    parts = [absolute.stem]
    folder = absolute.parent
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        parts.insert(0, folder.name)
        folder = folder.parent
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if parts and all(part.isidentifier() and not keyword.iskeyword(part) for part in parts) else ""


def without_imported_builtins(text: str, document: Document) -> str:
    """The Python `text` of a test file, importing no builtin from the module of `document` unless that module has it.

    A model that means to test for a `ValueError` may import it from the code under test, and no test would run.
    """
    try:
        body = ast.parse(text).body
        bound = set(_bound(ast.parse(document.text)))
    except (SyntaxError, ValueError, RecursionError):
        return text  # what does not parse is refused by others
    # Every module has the likes of `__doc__`, and nobody knows what a star brings.
    missing = {name for name in dir(builtins) if not name.startswith("_")} - bound if "*" not in bound else set()
    lines = split_lines(text)
    module = module_name(document.path) if document.path else ""
    imports = [node for node in body if isinstance(node, ast.ImportFrom) and node.module == module and not node.level]
    for node in reversed(imports):
        kept = [name for name in node.names if name.name not in missing]
        assert node.end_lineno is not None
        alone = not any(node in pair and pair[0].end_lineno == pair[1].lineno for pair in pairwise(body))
        if len(kept) < len(node.names) and alone:
            line = f"{ast.unparse(ast.ImportFrom(module, kept, 0))}{end(lines[node.end_lineno - 1])}"
            lines[node.lineno - 1 : node.end_lineno] = [line] if kept else []
    return "".join(lines)


def _bound(tree: ast.Module) -> Iterator[str]:
    """The names that a module binds, at any depth."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.alias(name=name, asname=other):
                yield other or name


def _python(path: Path, names: Sequence[str]) -> str:
    module = module_name(path)
    imported = ", ".join(names)
    line = f"from {module} import {imported}"
    if len(line) > 100:
        line = f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"
    return f"import pytest\n\n{line}\n" if module else ""


def _javascript(document: Document, names: Sequence[str]) -> str:
    assert document.path is not None
    listed = ", ".join(names)
    if "module.exports" in document.text or "exports." in document.text:
        return (
            'const test = require("node:test");\nconst assert = require("node:assert");\n'
            f'const {{ {listed} }} = require("./{document.path.stem}");\n'
        )
    if "export " not in document.text:
        return ""  # nothing can be imported from it
    return (
        'import test from "node:test";\nimport assert from "node:assert";\n'
        f'import {{ {listed} }} from "./{document.path.name}";\n'
    )
