"""Replies as models really give them: each is applied exactly as meant, or refused by name; none damages the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.document import Document
from assistant.edits import BrokenSyntax, Elided, NoChange, NoCode, Unclear, region_of, rewrite
from assistant.errors import NoEdit
from assistant.languages import language_of

FILE = '''\
import os

LIMIT = 3


def first(values):
    return values[1]


class Counter:
    """Counts."""

    def __init__(self):
        self.count = 0

    def add(self, step):
        if step:
            self.count -= step
        return self.count

    def reset(self):
        self.count = 0
'''
FIRST, COUNTER, ADD, BODY = (6, 7), (10, 22), (16, 19), (17, 18)
FIRST_GOOD = FILE.replace("values[1]", "values[0]")
ADD_GOOD = FILE.replace("-= step", "+= step")
ADD_CODE = "    def add(self, step):\n        if step:\n            self.count += step\n        return self.count\n"
FIRST_CODE = "def first(values):\n    return values[0]\n"


def dedented(code: str) -> str:
    return "".join(line.removeprefix("    ") for line in code.splitlines(keepends=True))


def document(text: str, name: str = "sample.py") -> Document:
    return Document(Path(name), text, raw=text.encode(), language=language_of(name))


def edited(text: str, lines: tuple[int, int] | None, code: str, name: str = "sample.py") -> str:
    source = document(text, name)
    return rewrite(source, region_of(source, lines), code).apply(text)


MEANT = {
    "plain": (FIRST, FIRST_CODE, FIRST_GOOD),
    "no final newline": (FIRST, FIRST_CODE.rstrip(), FIRST_GOOD),
    "blank lines around": (FIRST, "\n\n" + FIRST_CODE + "\n\n", FIRST_GOOD),
    "crlf": (FIRST, FIRST_CODE.replace("\n", "\r\n"), FIRST_GOOD),
    "leaked fence": (FIRST, "```python\n" + FIRST_CODE + "```\n", FIRST_GOOD),
    "leaked opening fence": (FIRST, "```python\n" + FIRST_CODE, FIRST_GOOD),
    "leaked closing fence": (FIRST, FIRST_CODE + "```", FIRST_GOOD),
    "control word": (FIRST, FIRST_CODE.rstrip() + "<|end|>", FIRST_GOOD),
    "control words on lines": (FIRST, "<|assistant|>\n" + FIRST_CODE + "<|im_end|>\n<|endoftext|>", FIRST_GOOD),
    "thought": (FIRST, "<think>\nIndex 0, then.\n</think>\n" + FIRST_CODE, FIRST_GOOD),
    "method": (ADD, ADD_CODE, ADD_GOOD),
    "dedented method": (ADD, dedented(ADD_CODE), ADD_GOOD),
    "over-indented method": (ADD, "".join("    " + line for line in ADD_CODE.splitlines(True)), ADD_GOOD),
    "tabs for spaces": (ADD, ADD_CODE.replace("    ", "\t"), ADD_GOOD),
    "two spaces for four": (ADD, ADD_CODE.replace("    ", "  "), ADD_GOOD),
    "whole file for a function": (FIRST, FIRST_GOOD, FIRST_GOOD),
    "whole file for a method": (ADD, ADD_GOOD, ADD_GOOD),
    "whole file for some lines": (BODY, ADD_GOOD, ADD_GOOD),
    "whole class for a method": (ADD, ADD_GOOD[ADD_GOOD.index("class") :], ADD_GOOD),
    "whole method for some lines": (BODY, ADD_CODE, ADD_GOOD),
    "whole method, dedented, for some lines": (BODY, dedented(ADD_CODE), ADD_GOOD),
    "some lines, dedented": (BODY, "if step:\n    self.count += step\n", ADD_GOOD),
    "class shell around a method": (
        ADD,
        "class Counter:\n    # ... existing code ...\n\n" + ADD_CODE + "\n    # ...\n",
        ADD_GOOD,
    ),
    "method for a class": (COUNTER, dedented(ADD_CODE), ADD_GOOD),
    "indented method for a class": (COUNTER, ADD_CODE, ADD_GOOD),
    "method for the file": (None, ADD_CODE, ADD_GOOD),
    "function for the file": (None, FIRST_CODE, FIRST_GOOD),
    "function and known import for the file": (None, "import os\n\n\n" + FIRST_CODE, FIRST_GOOD),
    "known import above a function": (FIRST, "import os\n\n\n" + FIRST_CODE, FIRST_GOOD),
    "example of use": (FIRST, FIRST_CODE + "\n\n# Example usage:\nprint(first([1, 2]))\n", FIRST_GOOD),
    "known neighbour": (FIRST, FIRST_CODE + "\n\n" + FILE[FILE.index("class") :], FIRST_GOOD),
    "echo before": (BODY, "    def add(self, step):\n        if step:\n            self.count += step\n", ADD_GOOD),
    "whole file": (None, ADD_GOOD, ADD_GOOD),
    "whole file without its final newline": (None, ADD_GOOD.rstrip(), ADD_GOOD),
    "new import above a function": (
        FIRST,
        "import math\n\n\n" + FIRST_CODE,
        FIRST_GOOD.replace("def first", "import math\n\n\ndef first"),
    ),
    "helper above a function": (
        FIRST,
        "def at(values, index):\n    return values[index]\n\n\ndef first(values):\n    return at(values, 0)\n",
        FILE.replace(
            "def first(values):\n    return values[1]",
            "def at(values, index):\n    return values[index]\n\n\ndef first(values):\n    return at(values, 0)",
        ),
    ),
    "renamed": (FIRST, "def head(values):\n    return values[1]\n", FILE.replace("def first", "def head")),
}


@pytest.mark.parametrize("name", MEANT)
def test_a_reply_is_applied_as_meant(name):
    lines, code, wanted = MEANT[name]
    assert edited(FILE, lines, code) == wanted


REFUSED = {
    "empty": (FIRST, "", NoCode),
    "only a fence": (FIRST, "```python\n```", NoCode),
    "only a thought": (FIRST, "<think>\ndef first(values): pass", NoCode),
    "unchanged": (FIRST, FIRST_CODE.replace("[0]", "[1]"), NoChange),
    "unchanged, dedented": (ADD, dedented(ADD_CODE).replace("+=", "-="), NoChange),
    "unchanged file": (None, FILE, NoChange),
    "cut off": (FIRST, "def first(values:\n    return", BrokenSyntax),
    "no body": (FIRST, "def first(values):\n", BrokenSyntax),
    "another language": (FIRST, "function first(values) {\n    return values[0];\n}\n", BrokenSyntax),
    "prose": (FIRST, "I am sorry, but I cannot do that.", BrokenSyntax),
    "only the body": (FIRST, "return values[0]\n", NoCode),
    "another function": (FIRST, "def last(things):\n    return things[-1]\n", NoCode),
    "elision": (ADD, "    def add(self, step):\n        # ... existing code ...\n        return self.count\n", Elided),
    "elision in words": (
        ADD,
        "    def add(self, step):\n        # rest of the code unchanged\n        return self.count + 1\n",
        Elided,
    ),
    "elision by dots": (ADD, "    def add(self, step):\n        ...\n        return self.count\n", Elided),
    "body of dots": (ADD, "    def add(self, step):\n        ...\n", Elided),
    "elided rest of a file": (None, FIRST_GOOD[:60] + "\n# ... rest of the file ...\n", Elided),
    "import for a method": (ADD, "    import math\n\n" + ADD_CODE, Unclear),
    "neighbour changed as well": (FIRST, FIRST_CODE + "\n\nclass Counter:\n    total = 1\n", Unclear),
    "method and class changed": (ADD, "class Counter:\n    total = 1\n\n" + ADD_CODE, Unclear),
    "whole method changed for some lines": (BODY, "    def add(self, step=2):\n        self.count += step\n", NoEdit),
    "nothing in common": (None, "def other(a):\n    return a * 2\n", NoCode),
    "most definitions left out": (
        COUNTER,
        'class Counter:\n    """Counts."""\n\n    def show(self):\n        print(self.count)\n',
        Unclear,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_reply_is_refused_by_name(name):
    lines, code, kind = REFUSED[name]
    with pytest.raises(kind) as refused:
        edited(FILE, lines, code)
    assert refused.value.message.endswith(".") and refused.value.remedy
    assert "\n" not in refused.value.message


def test_a_repeated_line_above_a_definition_is_no_riddle() -> None:
    """The whole of a small file comes back, docstring and all, though only its function was asked for."""
    text = '"""Greatest common divisor."""\n\ndef gcd(a, b):\n    return gcd(a % b, b)\n'
    document = Document(Path("gcd.py"), text, language=language_of(Path("gcd.py")))
    plan = rewrite(document, region_of(document, (3, 4)), text.replace("a % b, b", "b, a % b"))
    assert plan.apply(text) == text.replace("a % b, b", "b, a % b")
