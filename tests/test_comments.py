"""Documenting code may add comments anywhere, and may change nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from assistant.comments import code_tokens, refuse_changed_code, same_code, without_new_docstrings
from assistant.document import Document
from assistant.languages import LANGUAGES, language_named
from assistant.refusals import CodeChanged

PY = next(each for each in LANGUAGES if each.name == "Python")
PYTHON = '''import os  # noqa: F401


def area(w, h):
    if w < 0:
        w = -w
        h = "a  # b\\n  \\n"
    return f"{w}" + """x
  y"""


class Box:
    def __init__(self):
        self.size = 1
'''
DOCUMENTED = '''"""Boxes."""

import os  # noqa: F401


def area(w, h):
    """The area of a box."""
    # Negative widths are mirrored.
    if w < 0:
        w = -w  # mirrored
        h = "a  # b\\n  \\n"

    return f"{w}" + """x
  y"""


class Box:
    """A box."""

    def __init__(self):
        # One at first.
        self.size = 1
'''
SAMPLES = {
    "JavaScript": "function f(a) {\n  if (a) { return `x ${a}  y`; }\n  return 1;\n}\n",
    "TypeScript": "export function f(a: number): number {\n  return a;\n}\n",
    "Java": 'class A {\n  int f(int a) {\n    return a + "b  c".length();\n  }\n}\n',
    "Go": "package a\n\nfunc F(a int) int {\n\treturn a\n}\n",
    "Rust": "fn f(a: i32) -> i32 {\n    a + 1\n}\n",
    "C": "int f(int a) {\n  return a;\n}\n",
    "C++": "int f(int a) {\n  return a;\n}\n",
    "Ruby": "def f(a)\n  a + 1\nend\n",
    "Bash": 'f() {\n  local a="$1"\n}\n',
    "Kotlin": "fun f(a: Int): Int {\n    return a\n}\n",
    "Lua": "local function f(a)\n  return a\nend\n",
}


def passes(name: str, before: str, after: str) -> bool:
    language = language_named(name)
    assert language is not None
    try:
        refuse_changed_code(Document(Path("a"), before, language=language), after)
    except CodeChanged:
        return False
    return True


def test_docstrings_and_comments_may_come_and_go() -> None:
    assert passes("python", PYTHON, DOCUMENTED)
    assert passes("python", DOCUMENTED, PYTHON)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("w < 0", "w <= 0"),
        ("w = -w", "w = abs(w)"),
        ("        h = ", "    h = "),
        ("def area(w, h)", "def area(w, h=1)"),
        ("# b", "# c"),
        ("\\n  \\n", "\\n \\n"),
        ("x\n  y", "x\n y"),
        ("  # noqa: F401", ""),
        ('f"{w}"', '"{w}"'),
        ("self.size = 1", "self.size = 1\n        self.colour = 2"),
        ("import os", "import os, sys"),
    ],
)
def test_any_other_change_is_refused(old: str, new: str) -> None:
    assert not passes("python", PYTHON, PYTHON.replace(old, new, 1))
    assert not passes("python", PYTHON, DOCUMENTED.replace(old, new, 1))


def test_the_changed_line_is_named() -> None:
    with pytest.raises(CodeChanged, match=r"at line 5: 'if w < 0:' became 'if w > 0:'"):
        refuse_changed_code(Document(None, PYTHON, language=LANGUAGES[0]), PYTHON.replace("w < 0", "w > 0"))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_comment_line_fits_anywhere_and_a_changed_word_nowhere(name: str) -> None:
    language = language_named(name)
    assert language is not None
    lines = SAMPLES[name].splitlines(keepends=True)
    for number in range(len(lines)):
        with_comment = [*lines[:number], f"{language.comments[0]} what follows\n", *lines[number:]]
        assert passes(name, SAMPLES[name], "".join(with_comment)), with_comment
        without = lines[:number] + lines[number + 1 :]
        assert not lines[number].strip() or not passes(name, SAMPLES[name], "".join(without)), without
    assert not passes(name, SAMPLES[name], SAMPLES[name].replace("a", "b"))


def test_random_damage_is_never_taken_for_documentation() -> None:
    """Whatever single character is replaced outside comments, the code is another, or the text the same but for blanks."""
    generator = random.Random(7)
    for _ in range(300):
        place = generator.randrange(len(PYTHON))
        inside = PYTHON[PYTHON.rfind("\n", 0, place) + 1 : place]
        if "#" in inside or PYTHON[place].isspace():
            continue
        damaged = PYTHON[:place] + "q" + PYTHON[place + 1 :]
        assert damaged == PYTHON or not passes("python", PYTHON, damaged), damaged


@pytest.mark.parametrize("before", [PYTHON, DOCUMENTED, *SAMPLES.values()])
def test_looking_where_texts_differ_is_looking_everywhere(before: str) -> None:
    """`same_code` passes over what is alike at both ends, and must come to what whole texts say."""
    name = next((name for name, text in SAMPLES.items() if text == before), "Python")
    document = Document(Path("x"), before, language=language_named(name))
    chance = random.Random(before)
    seen = set()
    for _ in range(60):
        lines = before.splitlines(keepends=True)
        place = chance.randrange(len(lines))
        changed = chance.choice(
            ["", lines[place] * 2, "# c\n", "// c\n", lines[place].replace("a", "b"), f'{lines[place]}    """x"""\n']
        )
        after = "".join([*lines[:place], changed, *lines[place + 1 :]])
        everywhere = [[token for token, _ in code_tokens(text, document.language)] for text in (before, after)]
        seen.add(same_code(document, after))
        assert same_code(document, after) == (everywhere[0] == everywhere[1]), after
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("before", "text", "left"),
    [
        ("def f():\n    return 2\n", 'def f():\n    """One."""\n    return 1\n', "def f():\n    return 1\n"),
        (
            "def f():\n    return 2\n",
            'def f():\n    """One.\n\n    Two.\n    """\n\n    return 1\n',
            "def f():\n    return 1\n",
        ),
    ],
)
def test_new_docstrings_are_taken_out_with_their_lines(before: str, text: str, left: str) -> None:
    assert without_new_docstrings(text, before, PY) == left


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ('def f():\n    """One."""\n    return 2\n', 'def f():\n    """One."""\n    return 1\n'),
        ('def f(:\n    """One."""\n    return 2\n', 'def f():\n    """One, mended."""\n    return 1\n'),  # it did not parse
        ('def f():\n    """One."""\n', 'def f():\n    """One."""\n    return 1\n'),  # there was nothing else
        ("def f():\n    return 2\n", 'def g():\n    """New."""\n    return 1\n\n\ndef f():\n    return g()\n'),
        ("def f():\n    return 2\n", 'def f(): """x"""; return 1\n'),
        ("def f():\n    return 2\n", 'def f():\n    """x"""; return 1\n'),
        ("def f():\n    return 2\n", 'def f():\n    """x\n    """; y = 1\n    return y\n'),
        ("def f():\n    return 2\n", 'def f():\n    y = 1; "note"\n    return y\n'),
        ("def f():\n    return 2\n", 'def f():\n    """All there is."""\n'),
        ("def f():\n    return 2\n", 'def f():\n    x = """no docstring"""\n    return x\n'),
    ],
)
def test_all_other_strings_stay(before: str, text: str) -> None:
    assert without_new_docstrings(text, before, PY) == text
