"""What looks wrong in Python code without running it: a sentence for each, to be shown to the model as a tool's report.

Only what a correct function hardly ever does: every rule was held against the right and the wrong solutions of public bug
collections, see docs/journal.md.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise

from assistant.document import Document
from assistant.region import Region

Function = ast.FunctionDef | ast.AsyncFunctionDef

_LOOKING = frozenset(
    {"get", "items", "keys", "values", "pop", "popleft", "popitem", "index", "count", "copy", "issubset", "issuperset"}
)
_FILLING = frozenset({"append", "appendleft", "add", "extend", "insert", "update", "setdefault"})
_READERS = frozenset({"len", "any", "all", "sum", "min", "max", "sorted", "enumerate", "reversed", "iter", "bool"})
_EMPTY_CALLS = frozenset({"set", "list", "dict", "deque", "OrderedDict"})


def suspicions(document: Document, region: Region) -> tuple[str, ...]:
    """A sentence for each thing that looks wrong in the region's functions; none where the file is no Python or broken."""
    if document.language.name != "Python":
        return ()
    try:
        tree = ast.parse(document.text)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    found = (sentence for function in _functions(tree, region) for sentence in _of_function(function))
    return tuple(dict.fromkeys(found))


def new_unknown_names(before: str, after: str) -> tuple[str, ...]:
    """Names that `after`, a Python file's text, uses without defining them anywhere, and that `before` did not use so."""
    try:
        unknown = _unknown(after)
        return tuple(sorted(unknown - _unknown(before))) if unknown else ()
    except (SyntaxError, ValueError, RecursionError):
        return ()


def _unknown(text: str) -> set[str]:
    from pyflakes.checker import Checker
    from pyflakes.messages import UndefinedName

    messages = Checker(ast.parse(text)).messages
    return {str(message.message_args[0]) for message in messages if isinstance(message, UndefinedName)}


def _functions(tree: ast.Module, region: Region) -> Iterator[Function]:
    """The outermost functions that lie in the region, or around it."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop(0)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if node.lineno - 1 < region.end and (node.end_lineno or node.lineno) > region.start:
                yield node
        else:
            pending = [*ast.iter_child_nodes(node), *pending]


def _of_function(function: Function) -> Iterator[str]:
    uses = _uses_of_containers(function)
    for name, kinds in uses.items():
        if kinds and kinds <= {"look"}:
            yield f"`{name}` starts empty and is looked at, but nothing is ever put into it."
        elif kinds and kinds <= {"fill"}:
            yield f"`{name}` is filled, but never looked at."
    for name in _always_none(function):
        yield f"`{name}` is None from beginning to end."
    for before, statement in _unreachable(function):
        what = f"line {statement.lineno}, `{ast.unparse(statement).splitlines()[0]}`, is never reached."
        yield (
            f"The loop of line {before.lineno} never ends by itself: {what}"
            if _never_ends(before)
            else what[0].upper() + what[1:]
        )
    for call in _endless_calls(function):
        yield f"`{ast.unparse(call)}` calls the function again with the same arguments."
    for comparison in _same_sides(function):
        yield f"`{ast.unparse(comparison)}` compares a value with itself."


def _assigned(function: Function) -> dict[str, list[ast.expr | None]]:
    """Names of the function to the values that they are given; None for a value that is not a plain one."""
    values: dict[str, list[ast.expr | None]] = {}
    plain: set[int] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    plain.add(id(target))
                    values.setdefault(target.id, []).append(node.value)
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)) and id(node) not in plain:
            values.setdefault(node.id, []).append(None)
        elif isinstance(node, ast.arg):
            values.setdefault(node.arg, []).append(None)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            for name in node.names:
                values.setdefault(name, []).append(None)
    return values


def _uses_of_containers(function: Function) -> dict[str, set[str]]:
    """For each name that is made an empty container, once, how it is used: `look`, `fill` or `else`."""
    made = {name for name, values in _assigned(function).items() if len(values) == 1 and _is_empty(values[0])}
    uses: dict[str, set[str]] = {name: set() for name in made}
    parents = {child: node for node in ast.walk(function) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id in made and isinstance(node.ctx, ast.Load):
            uses[node.id].add(_use(node, parents))
    return uses


def _is_empty(value: ast.expr | None) -> bool:
    match value:
        case ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Call(func=ast.Name(id=name), args=[], keywords=[]):
            return name in _EMPTY_CALLS
        case _:
            return False


def _use(name: ast.Name, parents: dict[ast.AST, ast.AST]) -> str:
    match parents[name]:
        case ast.Compare() | ast.While() | ast.If() | ast.BoolOp() | ast.UnaryOp():
            return "look"
        case ast.For(iter=source) | ast.comprehension(iter=source) if source is name:
            return "look"
        case ast.Call(func=ast.Name(id=called)) if called in _READERS:
            return "look"
        case ast.Subscript(ctx=ast.Load()):
            return "look"
        case ast.Subscript() as place if not isinstance(parents[place], ast.AugAssign):
            return "fill"
        case ast.Attribute(attr=method) as attribute if isinstance(parents[attribute], ast.Call):
            return "look" if method in _LOOKING else "fill" if method in _FILLING else "else"
        case _:
            return "else"


def _always_none(function: Function) -> Iterator[str]:
    read = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    for name, values in _assigned(function).items():
        match values:
            case [ast.Constant(value=None)] if name in read:
                yield name


def _unreachable(function: Function) -> Iterator[tuple[ast.stmt, ast.stmt]]:
    """Statements that never let the next begin, and the next."""
    for node in ast.walk(function):
        for block in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
            if isinstance(block, list):
                for one, following in pairwise(block):
                    if isinstance(one, (ast.Return, ast.Raise, ast.Continue, ast.Break)) or _never_ends(one):
                        yield one, following
                        break


def _never_ends(statement: ast.stmt) -> bool:
    """Whether it is a `while True` that nothing breaks out of."""
    if not (isinstance(statement, ast.While) and isinstance(statement.test, ast.Constant) and statement.test.value):
        return False
    return not any(isinstance(node, ast.Break) for node in ast.walk(statement))


def _endless_calls(function: Function) -> Iterator[ast.Call]:
    """Calls of the function by itself with its own arguments, which were not changed before."""
    parameters = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    changed = {name for name, values in _assigned(function).items() if len(values) > 1}
    if not parameters or changed & set(parameters):
        return
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Name(id=name), args=given, keywords=[]) if name == function.name:
                if [each.id if isinstance(each, ast.Name) else None for each in given] == parameters:
                    yield node


def _same_sides(function: Function) -> Iterator[ast.Compare]:
    for node in ast.walk(function):
        if isinstance(node, ast.Compare) and len(node.comparators) == 1:
            left, right = node.left, node.comparators[0]
            if not isinstance(left, (ast.Constant, ast.Call)) and ast.dump(left) == ast.dump(right):
                yield node
