"""`make` sets itself up once, repairs what was interrupted, says plainly what failed, and hands the question on unharmed.

A stand-in for Python plays `venv` and `pip` here, so that no packages are installed; `.ci/run` does the real thing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

PYTHON = r"""#!/bin/sh
case "$*" in
    "-V") echo "Python 3.11.99" ;;
    "-c "*|"-m pip --version") ;;
    "-m venv"*) rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    "-m pip install"*)
        for last; do :; done
        echo "$last" >>installed.txt
        if [ -f pip_says ]; then cp pip_says .venv/setup.log; exit 1; fi
        printf '#!/bin/sh\nprintf "<%%s>" "$@"\n' >.venv/bin/assistant
        chmod +x .venv/bin/assistant ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone without its packages, and a Python that only notes what it is asked to install."""
    folder = tmp_path / "clone"
    (folder / "scripts").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "scripts/bootstrap"):
        shutil.copy(REPOSITORY / name, folder / name)
    python = tmp_path / "bin" / "python3.11"
    python.parent.mkdir()
    python.write_text(PYTHON)
    python.chmod(0o755)
    return folder


def test_the_second_time_nothing_is_installed(clone: Path) -> None:
    first = set_up(clone, "ask")
    assert first.returncode == 0, first.stderr
    assert "Making .venv with Python 3.11.99" in first.stderr
    assert set_up(clone, "ask").stderr == ""
    assert installed(clone) == ["."]


def test_whoever_can_test_can_ask(clone: Path) -> None:
    set_up(clone, "test")
    set_up(clone, "ask")
    assert installed(clone) == [".[gpu,train,dev]"]


def test_a_changed_pyproject_is_installed_again(clone: Path) -> None:
    set_up(clone, "ask")
    with (clone / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    set_up(clone, "ask")
    assert installed(clone) == [".", "."]


def test_a_gpu_is_seen_without_torch(clone: Path) -> None:
    nvidia_smi = clone.parent / "bin" / "nvidia-smi"
    nvidia_smi.write_text("#!/bin/sh\n")
    nvidia_smi.chmod(0o755)
    set_up(clone, "ask")
    assert installed(clone) == [".[gpu]"]


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full."),
        ("NewConnectionError: <urllib3 ...>", "The Python package index could not be reached."),
        ("ERROR: something else", "pip could not install everything."),
    ],
)
def test_a_failure_is_one_clear_sentence_and_a_remedy(clone: Path, log: str, sentence: str) -> None:
    (clone / "pip_says").write_text(f"2026-01-01T00:00:00,000 {log}\n")
    failed = set_up(clone, "ask")
    assert failed.returncode != 0
    assert f"error: {sentence}" in failed.stderr
    assert "run the command again" in failed.stderr
    (clone / "pip_says").unlink()
    assert set_up(clone, "ask").returncode == 0


def test_a_half_written_venv_is_made_anew_and_an_untouched_one_is_kept(clone: Path) -> None:
    set_up(clone, "ask")
    kept = clone / ".venv" / "kept"
    kept.touch()
    (clone / "pip_says").write_text(
        "2026-01-01T00:00:00,000 Collecting torch\n2026-01-01T00:00:01,000   Installing collected packages: x\n"
    )
    set_up(clone, "test")
    assert set_up(clone, "ask").returncode == 0
    assert kept.exists(), "a failed download must not cost what was installed before"
    (clone / "pip_says").write_text("2026-01-01T00:00:00,000 Installing collected packages: torch\n")
    set_up(clone, "test")
    (clone / "pip_says").unlink()
    again = set_up(clone, "ask")
    assert "interrupted" in again.stderr
    assert not kept.exists()
    assert again.returncode == 0


def test_two_set_ups_at_once_do_not_spoil_each_other(clone: Path) -> None:
    command = ["scripts/bootstrap", "ask"]
    both = [subprocess.Popen(command, cwd=clone, env=environment_of(clone), stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        process.communicate(timeout=60)
    assert [process.returncode for process in both] == [0, 0]
    assert installed(clone) == ["."]


def test_no_python_is_one_clear_sentence(clone: Path) -> None:
    failed = set_up(clone, "ask", PYTHON="/nonexistent/python")
    assert failed.returncode != 0
    assert "No Python 3.11 or newer" in failed.stderr
    assert "python3-venv" in failed.stderr


@pytest.mark.parametrize("where", ["argument", "environment"])
@pytest.mark.parametrize(
    "question", ["""a "b" 'c' $HOME $(shell touch ran) `touch ran` $$ \\ % # &; x""", "-y --help", "two\nlines"]
)
def test_a_question_arrives_unharmed(clone: Path, question: str, where: str) -> None:
    arguments = ["make", "-s", "ask", *([f"Q={question}"] if where == "argument" else [])]
    environment = environment_of(clone) | ({"Q": question} if where == "environment" else {})
    done = subprocess.run(arguments, cwd=clone, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"<ask><-y><--><{question}>", done.stderr
    assert not (clone / "ran").exists()


def set_up(clone: Path, profile: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = ["scripts/bootstrap", profile]
    return subprocess.run(command, cwd=clone, env=environment_of(clone) | variables, capture_output=True, text=True, timeout=60)


def environment_of(clone: Path) -> dict[str, str]:
    own = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHON", "Q", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "QUESTION")
    }
    return own | {"PATH": f"{clone.parent / 'bin'}:/usr/bin:/bin"}


def installed(clone: Path) -> list[str]:
    return (clone / "installed.txt").read_text().split()
