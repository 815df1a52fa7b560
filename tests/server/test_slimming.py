"""The protocol's classes work as before, and keep no copies of their module."""

from __future__ import annotations

import attrs
from lsprotocol import types
from pygls.protocol import default_converter

import server.app

CLASSES = [each for each in vars(types).values() if isinstance(each, type) and attrs.has(each)]


def example(cls: type) -> object | None:
    """An instance with what every class takes in its place; None where one must have something special."""
    values = {}
    for field in attrs.fields(cls):
        if field.default is attrs.NOTHING:
            kind = str(field.type)
            values[field.name] = 1 if "int" in kind else "x" if "str" in kind else [] if "equence" in kind else None
    try:
        return cls(**values)
    except (TypeError, ValueError):
        return None


def test_the_classes_work() -> None:
    assert server.app.ROUTES
    made = [each for each in map(example, CLASSES) if each is not None]
    assert len(made) > 300
    converter = default_converter()
    for each in made:
        assert each == type(each)(**{field.name: getattr(each, field.name) for field in attrs.fields(type(each))})
        assert repr(each)
    where = types.Range(types.Position(1, 2), types.Position(3, 4))
    assert converter.structure(converter.unstructure(where), types.Range) == where
    assert types.Position(1, 2) < types.Position(1, 3)


def test_no_copies_of_the_module_are_kept() -> None:
    spaces = {id(cls.__init__.__globals__): cls.__init__.__globals__ for cls in CLASSES}
    assert len(spaces) > 300
    assert sum(map(len, spaces.values())) / len(spaces) < 40
