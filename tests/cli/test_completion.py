"""Real shells complete what real users type."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM

BASH = """
eval "$(assistant completion bash)"
function=$(complete -p assistant | sed 's/.*-F \\([^ ]*\\).*/\\1/')
COMP_LINE="$1" COMP_POINT=${#1} COMP_TYPE=9 COMP_KEY=9
read -r -a COMP_WORDS <<< "$1"
[[ "$1" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
"$function" assistant "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
CASES = [
    ("assistant exp", {"explain"}),
    ("assistant t", {"translate", "tests"}),
    ("assistant simp", {"simplify"}),
    ("assistant explain add", {"adder.py"}),
    ("assistant translate adder.py --to ja", {"java", "javascript"}),
    ("assistant models ver", {"verify"}),
    ("assistant completion ", {"bash", "fish", "zsh"}),
    ("assistant fix adder.py --wr", {"--write"}),
]


@pytest.fixture
def shell(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    (tmp_path / "adder.py").write_text("x = 1\n")
    (tmp_path / "home" / "commands").mkdir(parents=True)
    (tmp_path / "home" / "commands" / "simplify.md").write_text("---\neffect: edit\n---\nx\n")
    return {**environment, "PATH": os.pathsep.join((str(Path(PROGRAM[0]).parent), environment["PATH"])), "HOME": str(tmp_path)}


@pytest.mark.parametrize(("line", "offered"), CASES)
def test_bash(shell: dict[str, str], tmp_path: Path, line: str, offered: set[str]) -> None:
    done = subprocess.run(["bash", "--norc", "-c", BASH, "bash", line], cwd=tmp_path, env=shell, capture_output=True, text=True)
    assert {each.strip() for each in done.stdout.splitlines() if each.strip()} == offered, done.stderr


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish on this machine")
@pytest.mark.parametrize(("line", "offered"), CASES[:5])
def test_fish(shell: dict[str, str], tmp_path: Path, line: str, offered: set[str]) -> None:
    command = f"assistant completion fish | source; complete -C {line!r}"
    done = subprocess.run(["fish", "--no-config", "-c", command], cwd=tmp_path, env=shell, capture_output=True, text=True)
    assert {each.split("\t")[0].strip() for each in done.stdout.splitlines()} == offered, done.stderr


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh on this machine")
def test_zsh_takes_the_script(shell: dict[str, str], tmp_path: Path) -> None:
    command = 'autoload -U compinit; compinit -u; eval "$(assistant completion zsh)"; print -r -- ${_comps[assistant]}'
    done = subprocess.run(["zsh", "-f", "-c", command], cwd=tmp_path, env=shell, capture_output=True, text=True)
    assert "argcomplete" in done.stdout, done.stderr


def test_an_unknown_shell_is_refused(run: Callable) -> None:
    done = run("completion", "tcsh")
    assert done.returncode == 2 and "choose from" in done.stderr
