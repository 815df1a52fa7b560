"""The edit recipe in other languages than Python: what a reply holds too much or too little of is told by the grammar."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.document import Document
from assistant.edits import BrokenSyntax, Elided, Unclear, region_of, rewrite
from assistant.errors import NoEdit
from assistant.languages import language_of

SCRIPT = """\
import { a } from "a";

export class Box {
  #size = 1;

  /** Grows. */
  grow(by) {
    this.#size -= by;
    return this.#size;
  }

  clear() {
    this.#size = 0;
  }
}

export const half = (x) => {
  return x * 2;
};
"""
GO = 'package main\n\nimport "fmt"\n\nfunc half(x int) int {\n\treturn x * 2\n}\n\nfunc main() {\n\tfmt.Println(half(2))\n}\n'
C = "#include <stdio.h>\n\nint half(int x)\n{\n    return x * 2;\n}\n"
RUST = """\
struct Box {
    size: i32,
}

impl Box {
    fn half(&self) -> i32 {
        self.size * 2
    }

    fn one() -> i32 {
        1
    }
}
"""
SQL = "SELECT a,\n       b\nFROM t\nWHERE (a = 2);\n"

ARROW = "export const half = (x) => {\n  return x / 2;\n};\n"
HALF = "func half(x int) int {\n\treturn x / 2\n}\n"
IMPL = "impl Box {\n    fn half(&self) -> i32 {\n        self.size / 2\n    }\n}\n"
INT = "int half(int x)\n{\n    return x / 2;\n}\n"
SHELL = "export class Box {\n  // ... existing code ...\n"
GROW = "grow(by) {\n  this.#size += by;\n  return this.#size;\n}\n"

# name: (file, its text, lines, reply, what is replaced by what, or the refusal)
CASES = {
    "a method, dedented": ("a.js", SCRIPT, (7, 10), GROW, ("-= by", "+= by")),
    "a method with its comment": ("a.js", SCRIPT, (7, 10), "/** Grows. */\n" + GROW, ("-= by", "+= by")),
    "a method for its class": ("a.js", SCRIPT, (3, 15), GROW, ("-= by", "+= by")),
    "a method in a shell of its class": (
        "a.js",
        SCRIPT,
        (7, 10),
        SHELL + GROW + "}\n",
        ("-= by", "+= by"),
    ),
    "an arrow function for the file": (
        "a.js",
        SCRIPT,
        None,
        ARROW,
        ("x * 2", "x / 2"),
    ),
    "an arrow function without its export": ("a.ts", SCRIPT, (17, 19), ARROW.removeprefix("export "), None),
    "four spaces for two": (
        "a.js",
        SCRIPT,
        (17, 19),
        ARROW.replace("  ", "    "),
        ("x * 2", "x / 2"),
    ),
    "an elided class": (
        "a.js",
        SCRIPT,
        (3, 15),
        "export class Box {\n  // ... existing code ...\n  clear() {\n  }\n}\n",
        Elided,
    ),
    "half a class": ("a.js", SCRIPT, (3, 15), "export class Box {\n  grow(by) {\n", BrokenSyntax),
    "spaces for tabs": ("a.go", GO, (5, 7), "func half(x int) int {\n    return x / 2\n}\n", ("x * 2", "x / 2")),
    "package and imports again": (
        "a.go",
        GO,
        (5, 7),
        'package main\n\nimport "fmt"\n\nfunc half(x int) int {\n\treturn x / 2\n}\n',
        ("x * 2", "x / 2"),
    ),
    "a new import in Go": ("a.go", GO, (5, 7), 'import "math"\n\nfunc half(x int) int {\n\treturn x / 2\n}\n', Unclear),
    "a function as example": (
        "a.go",
        GO,
        (5, 7),
        HALF + "\nfunc main() {\n\thalf(3)\n}\n",
        Unclear,
    ),
    "a known include": (
        "a.c",
        C,
        (3, 6),
        "#include <stdio.h>\n\nint half(int x)\n{\n    return x / 2;\n}\n",
        ("x * 2", "x / 2"),
    ),
    "a new include": (
        "a.c",
        C,
        (3, 6),
        "#include <math.h>\n\nint half(int x)\n{\n    return x * 2;\n}\n",
        ("int half", "#include <math.h>\n\nint half"),
    ),
    "an echoed closing bracket": ("a.c", C, (5, 5), "    return x / 2;\n}\n", ("x * 2", "x / 2")),
    "a method in its impl": (
        "a.rs",
        RUST,
        (6, 8),
        IMPL,
        ("* 2", "/ 2"),
    ),
    "a method for its impl": ("a.rs", RUST, (5, 13), "fn half(&self) -> i32 {\n    self.size / 2\n}\n", ("* 2", "/ 2")),
    "only a body": ("a.rs", RUST, (6, 8), "self.size / 2\n", BrokenSyntax),
    "no grammar": ("a.sql", SQL, (4, 4), "WHERE (a = 3);\n", ("2", "3")),
    "no grammar, bracket lost": ("a.sql", SQL, (4, 4), "WHERE (a = 3;\n", BrokenSyntax),
}


@pytest.mark.parametrize("name", CASES)
def test_replies_in_other_languages(name):
    path, text, lines, reply, wanted = CASES[name]
    source = Document(Path(path), text, language=language_of(path))
    region = region_of(source, lines)
    if isinstance(wanted, type) and issubclass(wanted, NoEdit):
        with pytest.raises(wanted):
            rewrite(source, region, reply)
        return
    expected = text.replace(*wanted) if wanted else text.replace("export const half", "const half").replace("x * 2", "x / 2")
    assert rewrite(source, region, reply).apply(text) == expected
