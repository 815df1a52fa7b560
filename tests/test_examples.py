"""Examples in docstrings: which are found, and how they are judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from assistant.document import Document
from assistant.examples import Example, examples_of
from assistant.languages import PLAIN, PYTHON
from assistant.region import Region


def found(text: str, lines: tuple[int, int] | None = None) -> list[tuple[str, str]]:
    region = Region(0, len(text.splitlines())) if lines is None else Region(lines[0] - 1, lines[1])
    return [(each.source, each.wanted) for each in examples_of(Document(None, text, language=PYTHON), region)]


@pytest.mark.parametrize(
    ("docstring", "wanted"),
    [
        (">>> f(1)\n2", [("f(1)", "2")]),
        ("Text.\n\n    >>> f(1)\n    2\n    >>> f(2)\n    3\n\n    More.", [("f(1)", "2"), ("f(2)", "3")]),
        (">>> x = 1\n>>> f(x)\n2", [("x = 1", ""), ("f(x)", "2")]),
        (">>> f({\n...   'a': 1\n... })\n[1,\n 2]", [("f({\n  'a': 1\n})", "[1,\n2]")]),
        (">>> f({\n  'a': 1\n})\n2", [("f({\n  'a': 1\n})", "2")]),
        ("Examples:\n f(1) -> 2\n * f(2) == 3\n f('a') => 'b'.", [("f(1)", "2"), ("f(2)", "3"), ("f('a')", "'b'")]),
        ("f(x) -> the number after x", []),
        ("g(1) -> 2", []),
        (">>> g(1)\n2", []),
        (">>> f(\n\nnever closed", []),
        ("Nothing here.", []),
    ],
)
def test_examples_are_found(docstring: str, wanted: list[tuple[str, str]]) -> None:
    indented = docstring.replace("\n", "\n    ")
    inside = f'def f(x):\n    """\n    {indented}\n    """\n    return x + 1\n'
    assert found(inside) == wanted
    above = f'"""\n{docstring}\n"""\n\n\ndef f(x):\n    return x + 1\n'
    first = above[: above.index("def")].count("\n") + 1
    assert found(above, (first, first + 1)) == wanted


def test_only_examples_of_the_region_count() -> None:
    text = 'def f(x):\n    """>>> f(1)\n    1"""\n\n\ndef g(x):\n    """>>> g(1)\n    2"""\n'
    assert found(text, (6, 8)) == [("g(1)", "2")]
    assert len(found(text)) == 2


def test_there_are_none_where_nothing_can_be_read() -> None:
    assert found("def f(:\n    '>>> f(1)'\n") == []
    assert examples_of(Document(None, ">>> f(1)\n2", language=PLAIN), Region(0, 2)) == ()


CODE = """
import collections

def f(x):
    if x == "loop":
        while True: pass
    if x == "raise":
        raise ValueError("no")
    if x == "name":
        return undefined
    return x

def numbers():
    yield from (1, 2)
"""


@pytest.mark.parametrize(
    ("source", "wanted", "status"),
    [
        ("f(1)", "1", 0),
        ("f(1)", "2", 1),
        ("f('a')", '"a"', 0),
        ("f([1, '/'])", "[1,'/']", 0),
        ("f({1, 2})", "{2, 1}", 0),
        ("f(0.1 + 0.2)", "0.3", 0),
        ("f(0.1)", "0.2", 1),
        ("list(numbers())", "[1, 2]", 0),
        ("f(collections.Counter('aa'))", "Counter({'a':2})", 0),
        ("f((1, 2))", "[1, 2]", 1),
        ("f('raise')", "1", 1),
        ("f('raise')", "Traceback (most recent call last):\n...\nValueError: no", 0),
        ("f('loop')", "1", 1),
        ("f('name')", "1", 1),
        ("f(nowhere)", "1", 77),
        ("print(f(1))", "", 77),
    ],
)
def test_results_are_compared_as_values(tmp_path: Path, source: str, wanted: str, status: int) -> None:
    (tmp_path / "code.py").write_text(CODE)
    (tmp_path / "examples.json").write_text(json.dumps([[source, wanted]]))
    command = [sys.executable, "-P", "-m", "assistant.cage.examples", "code.py", "examples.json", "0.5"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stdout + done.stderr
    if status == 1:
        assert f"Example: {source}\nExpected: {wanted}\nGot: " in done.stdout


def test_a_module_of_a_package_is_imported_as_such(tmp_path: Path) -> None:
    package = tmp_path / "top" / "inner"
    package.mkdir(parents=True)
    (tmp_path / "top" / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "other.py").write_text("ONE = 1\n")
    (package / "code.py").write_text("from .other import ONE\n\ndef f(x):\n    return x + ONE\n")
    (tmp_path / "examples.json").write_text(json.dumps([["f(1)", "2"]]))
    command = [sys.executable, "-P", "-m", "assistant.cage.examples", "top/inner/code.py", "examples.json", "5"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "1 of 1 examples hold.\n")


def test_an_example_is_a_value() -> None:
    assert Example("f(1)", "2") == Example("f(1)", "2")
