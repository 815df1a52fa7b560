"""Secrets and ignored files stay out of prompts; git itself says which files its rules leave out."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from assistant.errors import InputError
from assistant.gathering import gather
from assistant.ignore import is_secret, reason_to_leave_out
from tests.scale import rounds

NAMES = ("a", "b", "build", "x.py", "y.log", "keep.log", "z")
PATTERNS = [
    "*.log",
    "!keep.log",
    "build/",
    "/a",
    "a/b",
    "**/z",
    "b/**",
    "*.py",
    "!x.py",
    "# a",
    "",
    "\\#x",
    "a/*/z",
    "!build/",
    "z/",
    "[",
    "a\\",
    "**",
    "!b/x.py",
]


@pytest.mark.parametrize(
    "name",
    [".env", ".env.local", "prod.env", "server.pem", "id_rsa", "id_work", "id_ed25519.bak", "tls.KEY", "credentials", ".npmrc",
     "credentials.json", "secrets.yaml", ".ssh/config", ".aws/config", "x.tfstate", "my-credentials-2.json"],
)  # fmt: skip
def test_secrets_are_known_by_their_names(name: str, tmp_path: Path) -> None:
    assert is_secret(tmp_path / name)
    link = tmp_path / "harmless.txt"
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("hush")
    link.symlink_to(tmp_path / name)
    assert reason_to_leave_out(link) == "secret"


@pytest.mark.parametrize(
    "name", [".env.example", "id_rsa.pub", "id_mapper.py", "credentials.py", "environment.py", "keys.py", "monkey"]
)
def test_what_only_looks_like_a_secret_is_none(name: str, tmp_path: Path) -> None:
    assert not is_secret(tmp_path / name)


def test_ignored_is_what_git_ignores(tmp_path: Path) -> None:
    """Random trees under random rules, judged by `git check-ignore`."""
    generator = random.Random(3)
    for number in range(rounds(200)):
        top = tmp_path / str(number)
        files = random_tree(generator, top)
        subprocess.run(["git", "init", "-q", top], check=True)
        env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "XDG_CONFIG_HOME": str(top)}
        asked = "\n".join(str(path.relative_to(top)) for path in files)
        command = ["git", "-C", top, "check-ignore", "--no-index", "--stdin"]
        said = subprocess.run(command, input=asked, text=True, capture_output=True, env=env)
        ignored = {path for path in files if reason_to_leave_out(path) == "ignored"}
        assert {str(path.relative_to(top)) for path in ignored} == set(said.stdout.splitlines()), number


def random_tree(generator: random.Random, top: Path) -> list[Path]:
    files = []
    for _ in range(12):
        path = top.joinpath(*generator.choices(NAMES, k=generator.randint(1, 4)))
        if any(parent.is_file() for parent in path.parents) or path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")
        files.append(path)
    for folder in {top, *(path.parent for path in generator.sample(files, min(3, len(files))))}:
        (folder / ".gitignore").write_text("\n".join(generator.choices(PATTERNS, k=generator.randint(0, 5))) + "\n")
    return files


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("out/\n")
    (tmp_path / ".assistantignore").write_text("*.csv\n")
    for name in ("src/a.py", "src/deep/b.py", "src/c.csv", "src/.env", "out/d.py", "src/empty.py", "src/node_modules/e.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("" if "empty" in name else "x = 1\n")
    (tmp_path / "src/picture.png").write_bytes(b"\x89PNG\0\0")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def gathered(*names: str) -> tuple[list[str], tuple[str, ...]]:
    found = gather(names)
    return [str(document.path) for document in found.documents], found.notes


def test_folders_and_patterns_leave_out_what_must_not_be_shown(project: Path) -> None:
    assert gathered("src") == (["src/a.py", "src/deep/b.py"], ("Left out of src: 2 empty or not text, 1 ignored, 1 secret.",))
    assert gathered("src/**/*.py")[0] == ["src/a.py", "src/deep/b.py"]
    assert gathered(".")[1] == ("Left out of .: 2 empty or not text, 1 ignored, 1 ignored folder, 1 secret.",)
    assert gathered("src/a.py", "src")[0] == ["src/a.py", "src/deep/b.py"]


def test_a_file_that_is_named_is_shown_and_a_secret_with_a_warning(project: Path) -> None:
    assert gathered("out/d.py", "src/c.csv") == (["out/d.py", "src/c.csv"], ())
    files, notes = gathered("src/.env")
    assert files == ["src/.env"] and "looks like a secret" in notes[0]


@pytest.mark.parametrize("name", ["gone.py", "gone/*.py", "src/empty.py"])
def test_what_matches_nothing_is_said(project: Path, name: str) -> None:
    with pytest.raises(InputError):
        gather([name])


def test_a_pattern_outside_the_current_folder_obeys_the_rules_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here", "other"):
        (tmp_path / name / ".git").mkdir(parents=True)
    (tmp_path / "other" / ".gitignore").write_text("made.py\n")
    for name in ("made.py", "own.py"):
        (tmp_path / "other" / name).write_text("x = 1\n")
    monkeypatch.chdir(tmp_path / "here")
    for pattern in ("../other/*.py", "../other", str(tmp_path / "other" / "*.py")):
        assert [document.path.name for document in gather([pattern]).documents if document.path] == [".gitignore", "own.py"][
            pattern.endswith("*.py") :
        ]
    assert reason_to_leave_out(Path("../other/made.py")) == "ignored"


def test_what_leads_into_a_folder_of_secrets_is_one(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("hush")
    (tmp_path / "conf").symlink_to(tmp_path / ".aws")
    assert is_secret(tmp_path / "conf" / "config")
