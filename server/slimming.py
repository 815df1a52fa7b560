"""Giving back memory that attrs keeps for nothing.

Each class of lsprotocol has methods that attrs wrote, and these keep a copy of all names that the module had by then: 1,200
copies, 11 MB.  A method needs the few names that stand in its code.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType


def slim(module: ModuleType) -> None:
    """Leave to the written methods of a module's classes the names that they use; forget their source, kept for tracebacks."""
    written = f"<attrs generated methods {module.__name__}."
    spaces: dict[int, tuple[dict[str, object], set[str]]] = {}
    for method in _methods(module):
        space = method.__globals__
        if method.__code__.co_filename.startswith(written) and space is not vars(module):
            spaces.setdefault(id(space), (space, set()))[1].update(_names(method.__code__))
    for space, names in spaces.values():
        kept = {name: value for name, value in space.items() if name in names or name == "__builtins__"}
        space.clear()  # which frees the table; deleting one by one would not
        space.update(kept)
    for name in [name for name in linecache.cache if name.startswith(written)]:
        del linecache.cache[name]


def _methods(module: ModuleType) -> Iterator[FunctionType]:
    for each in list(vars(module).values()):
        if isinstance(each, type):
            yield from (method for method in vars(each).values() if isinstance(method, FunctionType))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names(each)
