"""The README tells the truth: its commands run, and it names every command, exit code and setting that there is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from assistant import settings
from assistant.errors import every_error

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SHELL_LINES = [
    line for block in re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE) for line in block.splitlines()
]
BIN = Path(sys.executable).parent

BUGGY = "def add(a, b):\n    total = a - b\n    return total\n"
FIXED = BUGGY.replace("-", "+")
SCRIPT = {"rules": [{"match": "(?i)fix|bug", "reply": f"```python\n{FIXED}```"}, {"reply": "It reverses a list."}]}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A user's shell, whose model is a script; one model host serves all lines and is stopped at the end."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "script.json").write_text(json.dumps(SCRIPT))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("STARCHAT_", "PYTHON"))}
    path = os.pathsep.join((str(BIN), clean["PATH"]))
    chosen = {"PATH": path, "STARCHAT_HOME": str(folder / "home"), "STARCHAT_MODEL": f"scripted:{folder / 'script.json'}"}
    yield clean | chosen
    subprocess.run([BIN / "assistant", "stop"], env=clean | chosen, capture_output=True, timeout=60)


@pytest.mark.parametrize("line", SHELL_LINES)
def test_a_command_of_the_readme_runs(line: str, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "buggy.py").write_text(BUGGY)
    done = subprocess.run(
        ["sh", "-ec", line],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "buggy.py").read_text() == (FIXED if "--write" in line else BUGGY)


def test_every_command_is_in_the_readme_and_every_row_has_help(environment: dict[str, str]) -> None:
    verbs = commands_of("assistant", environment=environment)
    assert verbs
    for verb in verbs:
        assert f"`assistant {verb}" in README
    for verb in commands_of("assistant", "models", environment=environment):
        assert f"`{verb}`" in README or f"`assistant models {verb}`" in README
    for verb in re.findall(r"^\| `assistant (\w+)", README, re.MULTILINE):
        assert verb in verbs


def test_every_exit_code_is_in_the_readme() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert listed == {0, *(error.exit_code for error in every_error() if error.__module__.startswith("assistant."))}


def test_every_setting_is_in_the_readme() -> None:
    for variable, key in settings._ENVIRONMENT.items():
        assert f"| `{variable}` | `{key}` |" in README


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_to_files_lead_somewhere() -> None:
    for document in (REPOSITORY / "README.md", REPOSITORY / "ARCHITECTURE.md", REPOSITORY / "CHANGELOG.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (REPOSITORY / link).exists(), f"{document.name}: {link}"


def commands_of(*command: str, environment: dict[str, str]) -> list[str]:
    """The subcommands that `--help` lists."""
    done = subprocess.run([*command, "--help"], env=environment, capture_output=True, text=True, timeout=60, check=True)
    listed = re.search(r"\n(?:commands|what to do):\n(.*?)(?:\n\n|\Z)", done.stdout, re.DOTALL)
    return re.findall(r"^    ([a-z]+)", listed.group(1), re.MULTILINE) if listed else []
