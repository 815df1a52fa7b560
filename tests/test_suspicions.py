"""What is reported as suspicious, and that correct code is left in peace."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.document import Document
from assistant.languages import PLAIN, PYTHON
from assistant.region import Region
from assistant.suspicions import new_unknown_names, suspicions


def of(text: str) -> tuple[str, ...]:
    return suspicions(Document(None, text, language=PYTHON), Region(0, len(text.splitlines())))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("seen = set()\n    for y in x:\n        if y in seen: return y", "`seen` starts empty and is looked at"),
        ("stack = []\n    while stack:\n        x = stack.pop()\n    return x", "`stack` starts empty and is looked at"),
        ("found = []\n    found.append(x)\n    return x", "`found` is filled, but never looked at"),
        ("counts = {}\n    counts[x] = 1\n    return x", "`counts` is filled, but never looked at"),
        ("last = None\n    for y in x: y.before = last\n    return x", "`last` is None from beginning to end"),
        (
            "while True:\n        x += 1\n        if x > 3: return x\n    return 0",
            "The loop of line 2 never ends by itself: line 5, `return 0`, is never reached",
        ),
        ("return x\n    x += 1", "Line 3, `x += 1`, is never reached"),
        ("return f(x)", "`f(x)` calls the function again with the same arguments"),
        ("return x.a == x.a", "`x.a == x.a` compares a value with itself"),
    ],
)
def test_it_is_said(body: str, said: str) -> None:
    found = of(f"def f(x):\n    {body}\n")
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    "body",
    [
        "seen = set()\n    for y in x:\n        if y in seen: return y\n        seen.add(y)",
        "stack = []\n    fill(stack)\n    while stack: stack.pop()",
        "found = []\n    found.append(x)\n    return found",
        "found = []\n    found += x\n    return len(found)",
        "counts = {}\n    counts[x] += 1\n    return x",
        "last = None\n    for y in x:\n        y.before = last\n        last = y",
        "last = None\n    return x",
        "while True:\n        if x: break\n    return x",
        "x -= 1\n    return f(x)",
        "return f(x + 1)",
        "names = []\n    def inner():\n        nonlocal names\n        names = x\n    inner()\n    return len(names)",
        "while x:\n        if x: return 1\n        else: continue\n    return 2",
    ],
)
def test_correct_code_is_left_in_peace(body: str) -> None:
    assert of(f"def f(x):\n    {body}\n") == ()


def test_our_own_code_is_left_in_peace() -> None:
    """Thousands of functions that are in use; what is reported of them would be noise."""
    reported = [
        (path.name, sentence)
        for package in ("assistant", "server", "training")
        for path in (Path(__file__).parents[1] / package).rglob("*.py")
        for sentence in of(path.read_text(encoding="utf-8"))
    ]
    assert reported == []


def test_only_python_that_parses_and_only_the_region() -> None:
    text = "def f(x):\n    return f(x)\n\n\ndef g(x):\n    return x\n"
    assert suspicions(Document(None, text, language=PLAIN), Region(0, 6)) == ()
    assert suspicions(Document(None, text, language=PYTHON), Region(4, 6)) == ()
    assert of("def f(:\n") == ()


def test_names_that_an_edit_forgets() -> None:
    before = "def f():\n    from math import pi\n    return pi + other\n"
    assert new_unknown_names(before, before.replace("    from math import pi\n", "")) == ("pi",)
    assert new_unknown_names(before, before.replace("other", "1")) == ()
    assert new_unknown_names(before, "def f(:") == ()
    assert new_unknown_names(before, f"from math import *\n{before}\nprint(tau)\n") == ()
