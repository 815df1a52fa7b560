"""What programmers of a language are used to: how documentation is called, how tests are written, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.languages import Language


@dataclass(frozen=True, slots=True)
class Conventions:
    """The customs of one language.

    documentation: what the text that documents a definition is called.
    framework: what tests are written with, in words for a prompt.
    test_file: the name of a test file; `{stem}` stands for the name of the file under test, without its extension.
    """

    documentation: str
    framework: str
    test_file: str


def conventions(language: Language) -> Conventions:
    """The customs of `language`; for one that is not in the table those that fit most."""
    found = _TABLE.get(language.name)
    return found or Conventions("documentation comment", "the usual test framework", f"test_{{stem}}{_extension(language)}")


_NODE = "Node's own `node:test` and `node:assert`"
_JSDOC = "JSDoc comment (`/** ... */`)"

_TABLE = {
    "Python": Conventions("docstring", "pytest (plain functions named test_..., plain assert)", "test_{stem}.py"),
    "JavaScript": Conventions(_JSDOC, _NODE, "{stem}.test.js"),
    "TypeScript": Conventions(_JSDOC, _NODE, "{stem}.test.ts"),
    "TypeScript JSX": Conventions(_JSDOC, _NODE, "{stem}.test.tsx"),
    "Java": Conventions("Javadoc comment", "JUnit 5", "{stem}Test.java"),
    "Kotlin": Conventions("KDoc comment", "kotlin.test", "{stem}Test.kt"),
    "Scala": Conventions("Scaladoc comment", "ScalaTest", "{stem}Test.scala"),
    "C#": Conventions("XML documentation comment (`///`)", "xUnit", "{stem}Tests.cs"),
    "Go": Conventions("doc comment", "Go's own `testing` package, in the same package", "{stem}_test.go"),
    "Rust": Conventions("doc comment (`///`)", "`#[test]` functions", "{stem}_test.rs"),
    "C": Conventions("comment", "plain `assert` and a `main` function", "test_{stem}.c"),
    "C++": Conventions("comment", "plain `assert` and a `main` function", "test_{stem}.cpp"),
    "Ruby": Conventions("comment above it", "minitest", "test_{stem}.rb"),
    "PHP": Conventions("PHPDoc comment", "PHPUnit", "{stem}Test.php"),
    "Swift": Conventions("doc comment (`///`)", "XCTest", "{stem}Tests.swift"),
    "Dart": Conventions("doc comment (`///`)", "package:test", "{stem}_test.dart"),
    "Elixir": Conventions("@doc attribute", "ExUnit", "{stem}_test.exs"),
    "Bash": Conventions("comment above it", "a plain script that exits with 1 at the first failure", "test_{stem}.sh"),
}


def _extension(language: Language) -> str:
    return language.extensions[0] if language.extensions else ".txt"
