"""The functions, methods, classes and types that a source text defines, and their names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from assistant.languages import Language
from assistant.lines import indent, split_lines
from assistant.trees import node_text, parse_tree


@dataclass(frozen=True, slots=True)
class Definition:
    """A function, method, class or type.

    path: its name, after the names of the definitions around it.
    start, end: its lines, `end` excluded; decorators, attributes and `export` belong to it, comments above it do not.
    """

    path: tuple[str, ...]
    start: int
    end: int

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path[-1]


def definitions(text: str, language: Language) -> tuple[Definition, ...]:
    """Every definition in `text`, outer before inner; none for a language without a grammar."""
    if language.grammar is None:
        return ()
    lines = split_lines(text)
    found = _all(parse_tree(text, language), lines)
    return tuple(sorted(found, key=lambda definition: (definition.start, -definition.end)))


# Node types of all ten grammars together; the name of a type does not mean different things in two of them.
_DEFINITIONS = frozenset(
    (
        # Python, bash, Go, JavaScript, TypeScript, C, C++
        "function_definition",
        "class_definition",
        "function_declaration",
        "generator_function_declaration",
        "method_declaration",
        "class_declaration",
        "abstract_class_declaration",
        "method_definition",
        "interface_declaration",
        "enum_declaration",
        "type_alias_declaration",
        "type_declaration",
        "type_definition",
        "constructor_declaration",
        "record_declaration",
        "annotation_type_declaration",
        "struct_specifier",
        "class_specifier",
        "union_specifier",
        "enum_specifier",
        "namespace_definition",
        "internal_module",
        # Rust, Ruby
        "function_item",
        "impl_item",
        "struct_item",
        "enum_item",
        "trait_item",
        "mod_item",
        "macro_definition",
        "union_item",
        "method",
        "singleton_method",
        "class",
        "module",
        "singleton_class",
    )
)

_NEEDS_BODY = frozenset(("struct_specifier", "class_specifier", "union_specifier", "enum_specifier"))
_WRAPPERS = frozenset(("decorated_definition", "export_statement", "template_declaration", "ambient_declaration"))
_VARIABLES = frozenset(("lexical_declaration", "variable_declaration", "field_definition", "public_field_definition"))
_FUNCTION_VALUES = frozenset(("arrow_function", "function_expression", "generator_function", "class"))


def _all(root: Node, lines: list[str]) -> Iterator[Definition]:
    # A stack of its own: expressions may nest deeper than Python's call stack allows.
    pending: list[tuple[Node, tuple[str, ...]]] = [(root, ())]
    while pending:
        node, path = pending.pop()
        if node is not root and _defines(node) and (name := _name(node)):
            path = (*path, name)
            yield _definition(node, path, lines)
        pending.extend((child, path) for child in node.named_children)


def _defines(node: Node) -> bool:
    if node.type in _VARIABLES:
        return any(
            (value := holder.child_by_field_name("value")) is not None and value.type in _FUNCTION_VALUES
            for holder in (node, *node.named_children)
        )
    if node.type in _NEEDS_BODY:
        return node.child_by_field_name("body") is not None
    return node.type in _DEFINITIONS


def _definition(node: Node, path: tuple[str, ...], lines: list[str]) -> Definition:
    while node.parent is not None and node.parent.type in _WRAPPERS:
        node = node.parent
    start = node.start_point.row
    before = node.prev_named_sibling
    while before is not None and before.type in ("attribute_item", "decorator"):  # Rust and TypeScript put them beside it
        start, before = before.start_point.row, before.prev_named_sibling
    end = node.end_point.row + (1 if node.end_point.column else 0)
    return Definition(path, start, max(end, start + 1, _past_comments(lines, start, end)))


def _past_comments(lines: list[str], start: int, end: int) -> int:
    """`end`, moved over comment lines that stand deeper than the definition and so belong to it."""
    depth = len(indent(lines[start]))
    while end < len(lines) and lines[end].lstrip().startswith("#") and len(indent(lines[end])) > depth:
        end += 1
    return end


def _name(node: Node) -> str:
    """The identifier that `node` defines; C and C++ bury it in declarators, Rust's `impl` is its whole head."""
    if node.type == "impl_item":
        return " ".join(node_text(part) for part in node.children if part.type != "declaration_list")
    for holder in (node, *node.named_children):
        found = holder.child_by_field_name("name") or holder.child_by_field_name("property")
        if found is not None:
            return node_text(found)
        if holder.child_by_field_name("declarator") is not None:
            return _declared(holder)
    return ""


def _declared(node: Node) -> str:
    inner = node.child_by_field_name("declarator")
    return _declared(inner) if inner is not None else node_text(node)
