"""Real reports of real tools point to the file and lines that are wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant import aiming
from assistant.document import load
from assistant.reports import LONGEST_SENTENCE, SENTENCES, Report, read_report

APP = '''"""Numbers."""

import json


def mean(values):
    return sum(values) / len(values)


def twice(x):
    return x + x + 1


def read(text):
    return json.loads(text)["a"]


if __name__ == "__main__":
    print(mean([]))
'''
PYTEST = """from app import mean, twice


def test_twice():
    assert twice(2) == 4


def test_mean():
    assert mean([]) == 0
"""
UNITTEST = """import unittest
import app


class T(unittest.TestCase):
    def test_mean(self):
        self.assertEqual(app.mean([]), 0)
"""


def output(folder: Path, *command: str) -> str:
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # plugins take two seconds to load
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, env=environment
    )
    return done.stdout


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "test_app.py").write_text(PYTEST)
    (tmp_path / "check.py").write_text(UNITTEST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def aimed(text: str, folder: Path) -> tuple[str, tuple[int, int] | None, tuple[str, ...]]:
    report = read_report(text)
    path = aiming.file_of(report, folder)
    assert path is not None
    document = load(path)
    return path.name, aiming.lines_of(report, document), aiming.sentences_for(report, document)


def test_a_traceback_points_to_its_innermost_frame_here(project: Path) -> None:
    name, lines, said = aimed(output(project, sys.executable, "app.py"), project)
    assert (name, lines) == ("app.py", (6, 7))
    assert said == ("ZeroDivisionError: division by zero", "it was raised in line 7")


def test_frames_of_libraries_are_passed_over(project: Path) -> None:
    (project / "main.py").write_text("import app\n\n\ndef go():\n    return app.read('{')\n\n\ngo()\n")
    name, lines, said = aimed(output(project, sys.executable, "main.py"), project)
    assert (name, lines) == ("app.py", (14, 15))
    assert said[0].startswith("json.decoder.JSONDecodeError: Expecting property name")


@pytest.mark.parametrize("style", ["auto", "long", "short", "native"])
def test_of_failed_tests_the_first_counts_and_the_code_under_test_is_meant(project: Path, style: str) -> None:
    text = output(
        project, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=yes", f"--tb={style}", "test_app.py"
    )
    name, lines, said = aimed(text, project)
    assert (name, lines) == ("app.py", (10, 11)), text
    assert any("AssertionError" in sentence or "assert 5 == 4" in sentence for sentence in said)
    assert not any("ZeroDivisionError" in sentence for sentence in said)


def test_an_error_in_the_code_under_test_points_there(project: Path) -> None:
    text = output(project, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "mean", "test_app.py")
    assert aimed(text, project)[:2] == ("app.py", (6, 7))
    assert "E" not in aimed(text, project)[2][0]


def test_unittest(project: Path) -> None:
    name, lines, said = aimed(output(project, sys.executable, "-m", "unittest", "check"), project)
    assert (name, lines, said[0]) == ("app.py", (6, 7), "ZeroDivisionError: division by zero")


def test_node(project: Path) -> None:
    node = shutil.which("node")
    text = (
        f"{project}/app.js:3\n  return x.y.z;\n             ^\n\nTypeError: Cannot read properties of undefined (reading 'z')\n"
    )
    text += (
        f"    at get ({project}/app.js:3:14)\n    at Object.<anonymous> ({project}/app.js:6:1)\n    at node:internal/x:1:1\n"
    )
    (project / "app.js").write_text("// first\nfunction get(x) {\n  return x.y.z;\n}\n\nget({});\n")
    for report in (text, output(project, node, "app.js")) if node else (text,):
        name, lines, said = aimed(report, project)
        assert (name, lines) == ("app.js", (2, 4)), report
        assert said[0] == "TypeError: Cannot read properties of undefined (reading 'z')"


@pytest.mark.parametrize(
    "text",
    [
        "app.c:2:10: error: use of undeclared identifier 'y'",
        "./app.c:2:10: error: use of undeclared identifier 'y'\n    2 |   return y;\n",
        "error[E0425]: use of undeclared identifier 'y'\n --> app.c:2:10\n  |\n",
        "app.c(2,10): error TS2304: use of undeclared identifier 'y'",
    ],
)
def test_compilers(project: Path, text: str) -> None:
    (project / "app.c").write_text("int f(void) {\n  return y;\n}\n")
    name, lines, said = aimed(f"building ...\n{text}\n1 error\n", project)
    assert (name, lines) == ("app.c", (1, 3))
    assert "use of undeclared identifier 'y'" in said[0]


@pytest.mark.parametrize(
    "file", ["/etc/passwd", "../outside.py", "venv/lib/x.py", "lib/site-packages/x.py", "gone.py", "\0", "link.py"]
)
def test_files_of_others_are_never_chosen(project: Path, file: str) -> None:
    (project.parent / "outside.py").write_text("x = 1\n")
    (project / "link.py").symlink_to(project.parent / "outside.py")
    for folder in ("venv/lib", "lib/site-packages"):
        (project / folder).mkdir(parents=True)
        (project / folder / "x.py").write_text("x = 1\n")
    report = read_report(f'Traceback (most recent call last):\n  File "{file}", line 1, in f\n    x\nValueError: no\n')
    assert aiming.file_of(report, project) is None


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(
        st.sampled_from(
            [
                *APP.splitlines(),
                "E   x",
                ">   y",
                '  File "a.py", line 3',
                "a.py:3: b",
                "____ t ____",
                "=" * 70,
                "\x1b[31m",
                "\0",
            ]
        )
    )
)
def test_any_text_gives_a_report_within_its_budget(lines: list[str]) -> None:
    report = read_report("\n".join(lines))
    assert len(report.sentences) <= SENTENCES
    assert all(len(sentence) <= LONGEST_SENTENCE and "\n" not in sentence for sentence in report.sentences)


def test_what_is_no_report_says_nothing() -> None:
    for text in ("", "all is well\n", "10 passed in 0.1s\n"):
        assert read_report(text) == Report()


@pytest.mark.parametrize("text", [" " * 300_000, "a " * 150_000, "___ " * 75_000, "a:" * 150_000, " at " + "(" * 300_000])
def test_no_text_takes_long_to_read(text: str) -> None:
    begun = time.process_time()
    assert read_report(text) == Report()
    assert time.process_time() - begun < 5  # a hundredth of a second; without a bound it took minutes
