"""A turn that makes a file: code that can be one, and where it goes, or a refusal that keeps the reply."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from assistant.answer import Answer, Note
from assistant.commands import command
from assistant.document import Document
from assistant.errors import ContextOverflow, NoEdit, UsageError
from assistant.languages import PYTHON, language_named
from assistant.models.spec import ModelSpec
from assistant.opening_lines import without_imported_builtins
from assistant.turn import Turn, shown, take
from tests.hosting.scripted_host import client_of, home, script

SOURCE = "def add(a, b):\n    return a + b\n\n\nclass Sum:\n    def of(self, xs):\n        return sum(xs)\n"
JAVASCRIPT = "function add(a, b) {\n  return a + b;\n}\nconsole.log(add(1, 2));\n"
TESTS = "\n\ndef test_add():\n    assert add(1, 2) == 3\n"

# By the first question that the rule fits: a retry, then the marker in the source.
RULES: list[dict[str, object]] = [
    {"match": "(?s)case-repaired.*does not parse", "reply": f"{JAVASCRIPT}```"},
    {"match": "case-repaired|case-broken", "reply": "function add(a, b { return a + b }\n```"},
    {"match": "case-fence-twice", "reply": f"{JAVASCRIPT}```\n\nAnd used:\n\n```javascript\nadd(1)\n```"},
    {"match": "case-half-a-fence", "reply": f"{JAVASCRIPT}``"},
    {"match": "case-control", "reply": f"{JAVASCRIPT}```<|im_end|>"},
    {"match": "case-prose", "reply": "I am sorry, but I cannot translate this for you.\n```"},
    {"match": "case-elided", "reply": "function add(a, b) {\n  // ... existing code ...\n}\n```"},
    {"match": "case-cut", "reply": JAVASCRIPT, "reason": "length"},
    {"match": "case-loop", "reply": JAVASCRIPT, "reason": "loop"},
    {"match": "case-empty", "reply": "```"},
    {"match": "case-python", "reply": f"{SOURCE}```"},
    {"match": "case-plain-lua", "reply": "local function add(a, b)\n  return a + b\nend\nprint(add(1, 2))\n```"},
    {"match": "case-prose-lua", "reply": "I do not know how to write that\n```"},
    {"match": "case-java", "reply": "import java.util.List;\n\npublic final class Adder {\n}\n```"},
    {"match": "(?s)case-copies.*was refused", "reply": f"{TESTS}```"},
    {"match": "case-copies|case-always-copies", "reply": f"\n\n{SOURCE}{TESTS}```"},
    {"match": "case-imports-all", "reply": f"from numbers import KeyError, ValueError\n{TESTS}```"},
    {"match": "case-imports", "reply": f"from numbers import Sum, ValueError, TypeError as wrong\n{TESTS}```"},
    {"match": "case-tests", "reply": f"{TESTS}```"},
    {"match": "a bar chart", "reply": "import matplotlib.pyplot as plt\n\nplt.bar([1], [2])\n```"},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelSpec]:
    with home():
        yield script(tmp_path_factory.mktemp("new"), *RULES, context_length=8192)


def source(folder: Path, marker: str, name: str = "numbers.py") -> Document:
    """A Python file in which `marker` says which reply is played."""
    path = folder / name
    path.write_text(f"# {marker}\n{SOURCE}")
    return Document(path, path.read_text(), language=PYTHON)


def translation(folder: Path, marker: str, to: str = "js", name: str = "numbers.py") -> Turn:
    return Turn(command("translate"), document=source(folder, marker, name), language=language_named(to))


def taken(turn: Turn, model: ModelSpec) -> tuple[Answer, list[str]]:
    """The answer, and the notes before it."""

    async def events() -> tuple[Answer, list[str]]:
        notes = []
        async with client_of(model) as client:
            async for event in take(turn, client):
                if isinstance(event, Note):
                    notes.append(event.text)
                if isinstance(event, Answer):
                    return event, notes
        raise AssertionError("no answer")

    return asyncio.run(events())


@pytest.mark.parametrize("marker", ["case-repaired", "case-fence-twice", "case-half-a-fence", "case-control"])
def test_a_translation_is_a_whole_file_beside_the_old_one(model: ModelSpec, tmp_path: Path, marker: str) -> None:
    answer, notes = taken(translation(tmp_path, marker), model)
    assert answer.code == JAVASCRIPT
    assert answer.path == tmp_path / "numbers.js"
    assert answer.edit is None
    assert bool(notes) is (marker == "case-repaired")
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.py"]


@pytest.mark.parametrize(
    ("marker", "to", "code"),
    [
        ("case-prose", "js", "broken_syntax"),
        ("case-broken", "js", "broken_syntax"),
        ("case-elided", "js", "elided"),
        ("case-cut", "js", "truncated"),
        ("case-loop", "js", "truncated"),
        ("case-empty", "js", "no_code"),
        ("case-python", "js", "broken_syntax"),
        ("case-prose-lua", "lua", "no_code"),
    ],
)
def test_what_cannot_be_a_file_is_refused_and_kept(model: ModelSpec, tmp_path: Path, marker: str, to: str, code: str) -> None:
    with pytest.raises(NoEdit) as refused:
        taken(translation(tmp_path, marker, to), model)
    assert refused.value.code == code
    assert refused.value.reply or marker == "case-empty"


def test_no_path_that_is_taken_is_suggested(model: ModelSpec, tmp_path: Path) -> None:
    (tmp_path / "numbers.js").write_text("mine")
    (tmp_path / "numbers_2.js").symlink_to(tmp_path / "nowhere")
    assert taken(translation(tmp_path, "case-repaired"), model)[0].path == tmp_path / "numbers_3.js"


@pytest.mark.parametrize(
    ("marker", "to", "name"), [("case-plain-lua", "Lua", "numbers.lua"), ("case-java", "java", "Adder.java")]
)
def test_names_are_those_of_the_language(model: ModelSpec, tmp_path: Path, marker: str, to: str, name: str) -> None:
    assert taken(translation(tmp_path, marker, to), model)[0].path == tmp_path / name


@pytest.mark.parametrize("marker", ["case-tests", "case-copies"])
def test_tests_import_the_code_under_test(model: ModelSpec, tmp_path: Path, marker: str) -> None:
    answer, notes = taken(Turn(command("tests"), document=source(tmp_path, marker)), model)
    assert answer.path == tmp_path / "test_numbers.py"
    assert answer.code == f"import pytest\n\nfrom numbers import add, Sum\n{TESTS}"
    assert bool(notes) is (marker == "case-copies")


@pytest.mark.parametrize(("marker", "line"), [("case-imports", "from numbers import Sum\n"), ("case-imports-all", "")])
def test_tests_import_no_builtin_from_the_code_under_test(model: ModelSpec, tmp_path: Path, marker: str, line: str) -> None:
    answer, _ = taken(Turn(command("tests"), document=source(tmp_path, marker)), model)
    assert answer.code == f"import pytest\n\nfrom numbers import add, Sum\n{line}{TESTS}"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            "a = 'x\fy\u2028z'\r\nfrom numbers import ValueError, add\r\nb = 1\r\n",
            "a = 'x\fy\u2028z'\r\nfrom numbers import add\r\nb = 1\r\n",
        ),
        ("import re; from numbers import ValueError\n", "import re; from numbers import ValueError\n"),
        ("from numbers import __doc__, KeyError", "from numbers import __doc__"),
    ],
)
def test_only_the_import_of_a_builtin_is_taken_out(tmp_path: Path, text: str, left: str) -> None:
    assert without_imported_builtins(text, source(tmp_path, "none")) == left


def test_what_a_star_brings_is_not_taken_for_a_builtin(tmp_path: Path) -> None:
    own = replace(source(tmp_path, "none"), text="from os import *\n")
    assert without_imported_builtins("from numbers import open\n", own) == "from numbers import open\n"


def test_a_name_of_a_builtin_that_the_code_defines_is_imported(model: ModelSpec, tmp_path: Path) -> None:
    document = source(tmp_path, "case-imports-all")
    own = replace(document, text=f"{document.text}\n\nclass ValueError(Exception):\n    pass\n")
    answer, _ = taken(Turn(command("tests"), document=own), model)
    assert "from numbers import ValueError\n" in answer.code
    assert "KeyError" not in answer.code


def test_tests_of_a_copy_are_refused(model: ModelSpec, tmp_path: Path) -> None:
    with pytest.raises(NoEdit, match="defines Sum, add again"):
        taken(Turn(command("tests"), document=source(tmp_path, "case-always-copies")), model)


def test_a_figure_needs_no_document(model: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer, _ = taken(Turn(command("plot"), question="a bar chart"), model)
    assert answer.path == Path("plot.py")
    assert answer.code == "import matplotlib.pyplot as plt\n\nplt.bar([1], [2])\n"


def test_what_is_missing_is_said(model: ModelSpec, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a language"):
        taken(Turn(command("translate"), document=source(tmp_path, "x")), model)
    with pytest.raises(UsageError, match="needs a file"):
        taken(Turn(command("tests")), model)
    long = Document(tmp_path / "long.py", "x = 1\n" * 2000, language=PYTHON)
    with pytest.raises(ContextOverflow, match="window holds 8,192"):
        taken(Turn(command("translate"), document=long, language=language_named("js")), model)


@pytest.mark.parametrize("name", ["explain", "review"])
def test_a_question_about_lines_shows_the_definition_and_what_is_around_it(tmp_path: Path, name: str) -> None:
    document = Document(tmp_path / "numbers.py", f"import math\n\n\n{SOURCE}", language=PYTHON)
    said = shown(Turn(command(name), document=document, lines=(5, 5))).messages[-1].content
    assert "lines 4 to 5:\n\n```python\ndef add(a, b):\n    return a + b\n```" in said
    assert "Lines 1 to 3, before it:\n\n```python\nimport math\n" in said
    assert "Lines 6 to 10, after it:" in said
