"""Definitions, their borders and syntax errors, in every language that has a grammar, and without one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from assistant.languages import LANGUAGES, PLAIN, language_of, language_of_fence
from assistant.syntax import definitions, enclosing_definition, problems, string_lines

LANGUAGE = {language.fence: language for language in LANGUAGES}

# fence: (source, the definitions as path and lines from 0, end excluded)
SOURCES = {
    "python": (
        "import a\n@dec\nclass A:\n    x = 1\n    @p\n"
        "    async def m(self):\n        return 1\n        # still m\n\n    def n(self): pass\n",
        ["A 1-10", "A.m 4-8", "A.n 9-10"],
    ),
    "javascript": (
        "export const f = async (x) => {\n  return 1\n};\n"
        "export default class A {\n  g = () => 1;\n  m() {\n  }\n}\nfunction h(){\n}\nlet z = 1\n",
        ["f 0-3", "A 3-8", "A.g 4-5", "A.m 5-7", "h 8-10"],
    ),
    "typescript": (
        "@Component({})\nexport class A<T> {\n  @In() m(): void {\n  }\n}\n"
        "interface I { a: string }\ntype T = number;\nenum E {A}\n",
        ["A 0-5", "A.m 2-4", "I 5-6", "T 6-7", "E 7-8"],
    ),
    "tsx": ("export const F = () => <div>\n</div>;\n", ["F 0-2"]),
    "java": (
        "class A {\n  @Override\n  public int m() {\n    return 1;\n  }\n  A() {}\n}\nrecord R(int a) {}\n",
        ["A 0-7", "A.m 1-5", "A.A 5-6", "R 7-8"],
    ),
    "go": (
        "package x\nfunc f() int {\n\treturn 1\n}\nfunc (s *S) M() {\n}\ntype S struct {\n\ta int\n}\n",
        ["f 1-4", "M 4-6", "S 6-9"],
    ),
    "rust": (
        "#[derive(Debug)]\npub struct S {\n  a: i32,\n}\nimpl S {\n  #[test]\n  fn m(&self) {}\n}\n",
        ["S 0-4", "impl S 4-8", "impl S.m 5-7"],
    ),
    "c": (
        "static int *f(int a) {\n  return 1;\n}\ntypedef struct {int a;} X;\nstruct Y {int b;};\nstruct Y y;\n",
        ["f 0-3", "X 3-4", "Y 4-5"],
    ),
    "cpp": (
        "namespace n {\ntemplate<class T>\nT A::g(T x) {\n  return x;\n}\nclass B {\n  void m() {}\n  B() : a(1) {}\n};\n}\n",
        ["n 0-10", "n.A::g 1-5", "n.B 5-9", "n.B.m 6-7", "n.B.B 7-8"],
    ),
    "ruby": (
        "module M\n  class A\n    def m(x)\n      1\n    end\n    def self.n\n    end\n  end\nend\n",
        ["M 0-9", "M.A 1-8", "M.A.m 2-5", "M.A.n 5-7"],
    ),
    "bash": ("f() {\n  echo 1\n}\nfunction g {\n  echo\n}\n", ["f 0-3", "g 3-6"]),
}


def outline(source: str, fence: str) -> list[str]:
    return [f"{'.'.join(each.path)} {each.start}-{each.end}" for each in definitions(source, LANGUAGE[fence])]


@pytest.mark.parametrize("fence", SOURCES)
def test_every_grammar_tells_definitions(fence):
    source, wanted = SOURCES[fence]
    assert outline(source, fence) == wanted
    assert problems(source, LANGUAGE[fence]) == ()


@pytest.mark.parametrize("fence", SOURCES)
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_do_not_matter(fence, end):
    source, wanted = SOURCES[fence]
    assert outline(source.replace("\n", end), fence) == wanted


@pytest.mark.parametrize("fence", SOURCES)
def test_half_a_source_has_problems_in_its_lines(fence):
    source = SOURCES[fence][0] + SOURCES[fence][0].split("\n")[0] + " ((\n"
    found = problems(source, LANGUAGE[fence])
    assert found and all(0 <= problem.line <= source.count("\n") and problem.message for problem in found)


def test_every_language_with_a_grammar_is_tried():
    assert {language.fence for language in LANGUAGES if language.grammar} == set(SOURCES)


def test_the_innermost_definition_is_found():
    source = SOURCES["python"][0]
    around = [enclosing_definition(source, LANGUAGE["python"], line) for line in range(10)]
    assert around == [None, (1, 9), (1, 9), (1, 9), (4, 7), (4, 7), (4, 7), (4, 7), (1, 9), (9, 9)]


def test_characters_that_are_no_line_ends_shift_nothing():
    source = "a = '\u2028\x85\x0c'\n\x0c\ndef f():\n    return 1\n"
    assert enclosing_definition(source, LANGUAGE["python"], 3) == (2, 3)


def test_a_broken_function_is_found_by_its_indentation():
    assert enclosing_definition("x = 1\ndef f(a)\n    b = (a\n    return b\n\ny = 2\n", LANGUAGE["python"], 3) == (1, 3)


def test_without_a_grammar_a_block_is_found_by_its_indentation():
    source = "class A\n{\n    int F(int a)\n    {\n        if (a)\n        {\n            x();\n        }\n    }\n}\n"
    csharp = LANGUAGE["csharp"]
    assert enclosing_definition(source, csharp, 6) == (2, 8)
    assert enclosing_definition(source, csharp, 0) == (0, 9)
    assert enclosing_definition("function f(x)\n  y()\nend\nz()\n", LANGUAGE["lua"], 1) == (0, 2)
    assert enclosing_definition("Prose.\n    More (prose).\n", PLAIN, 1) is None


@pytest.mark.parametrize("source", ["def f():\nreturn 1\n", "def f():\n    a\n      b\n", "if x:\n", "x = = 1\n", "def f(:\n"])
def test_python_is_read_as_strictly_as_python_does(source):
    assert problems(source, LANGUAGE["python"])


def test_brackets_are_matched_outside_strings_and_comments():
    csharp = LANGUAGE["csharp"]
    assert problems("int f() { return \"(\"; } // ) \n/* { \n */ char c = '{';\n", csharp) == ()
    assert [problem.line for problem in problems("a(\n/* \n */ b]\n", csharp)] == [0, 2]
    assert problems("An unmatched ( in prose.\n", PLAIN) == ()


def test_lines_inside_strings():
    assert string_lines('x = """a\nb\nc"""\ny = 1\n', LANGUAGE["python"]) == {1, 2}
    assert string_lines("let x = `a\nb`;\n", LANGUAGE["javascript"]) == {1}


def test_deep_nesting_is_no_trouble():
    source = "x = " + "(" * 3000 + "1" + ")" * 3000 + "\n"
    assert definitions(source, LANGUAGE["python"]) == ()
    assert isinstance(problems(source, LANGUAGE["python"]), tuple)


def test_names_of_files_and_fences():
    assert language_of("a/B.PY").fence == "python" and language_of("x.tsx").fence == "tsx"
    assert language_of("Makefile").fence == "makefile" and language_of("unknown") == PLAIN and language_of(None) == PLAIN
    found = language_of_fence("JS title=x")
    assert found is not None and found.fence == "javascript"
    assert language_of_fence("") is None and language_of_fence("klingon") is None


def test_no_two_languages_claim_the_same_name():
    for names in (
        [n for each in LANGUAGES for n in (each.fence, *each.aliases)],
        [n for each in LANGUAGES for n in each.extensions],
    ):
        assert len(names) == len(set(names))


def test_grammars_are_loaded_when_they_are_needed():
    code = "import sys, assistant.edits, assistant.reply; print([n for n in sys.modules if n.startswith('tree_sitter_')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
