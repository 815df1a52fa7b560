"""What git says has changed, asked so that nothing of the repository runs.

A repository's own configuration can name programs that git starts on the way to a diff: filters, text converters, a monitor.
Those are switched off; what the user's own configuration names stays in force.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from assistant.errors import InputError
from assistant.settings import home
from assistant.staged import PLAIN_DIFF, reading_environment, without_secrets

MAX_BYTES = 1_000_000
"""A longer diff is refused: no model here could be shown one."""

_SECONDS = 30.0
_NONE: Mapping[str, str] = MappingProxyType({})
_FILTER = re.compile(r"filter\.(.+)\.(?:clean|smudge|process)", re.IGNORECASE | re.DOTALL)


def diff(folder: Path, *, staged: bool = False) -> tuple[str, tuple[str, ...]]:
    """The changes in the repository around `folder` since its last commit; with `staged` those alone that a commit would take.

    Files that look like secrets are named, but not shown; a sentence for each says so.

    Raises:
        InputError: git is missing, there is no repository, nothing has changed, or the diff is too long.
    """
    against = ["--cached"] if staged or not _has_commit(folder) else ["HEAD"]
    text = _git(folder, "diff", *PLAIN_DIFF, "--ignore-submodules", *against)
    if not text.strip():
        raise InputError(
            "Nothing is staged." if staged else "Nothing has changed since the last commit.", "Change something first."
        )
    if len(text) > MAX_BYTES:
        raise InputError(f"The diff has {len(text):,} bytes, and at most {MAX_BYTES:,} can be shown.", "Attach single files.")
    return without_secrets(text.decode(errors="replace"))


def _has_commit(folder: Path) -> bool:
    return _run(folder, "rev-parse", "--quiet", "--verify", "HEAD").returncode == 0


def _git(folder: Path, *arguments: str) -> bytes:
    done = _run(folder, *arguments, settings=_without_filters(folder))
    if done.returncode == 0:
        return done.stdout
    why = done.stderr.decode(errors="replace").strip().splitlines()
    raise InputError(f"git has no diff of {folder}: {why[0][:200] if why else 'it failed'}", "Run it inside a repository.")


def _without_filters(folder: Path) -> dict[str, str]:
    """Settings that take the force from every filter that the repository itself names."""
    done = _run(folder, "config", "--list", "--name-only", "--show-scope", "-z")
    if done.returncode:
        why = " ".join(done.stderr.decode(errors="replace").split())[:200]
        raise InputError(
            f"git cannot list the settings of {folder}: {why or 'it failed'}", "Mend them, or install git 2.31 or newer."
        )
    parts = done.stdout.decode(errors="surrogateescape").split("\0")
    own = [key for scope, key in zip(parts[::2], parts[1::2], strict=False) if scope in ("local", "worktree")]
    names = {match[1] for match in map(_FILTER.fullmatch, own) if match}
    off = {"clean": "", "smudge": "", "process": "", "required": "false"}
    return {f"filter.{name}.{key}": value for name in sorted(names) for key, value in off.items()}


def _run(folder: Path, *arguments: str, settings: Mapping[str, str] = _NONE) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("git")
    if program is None:
        raise InputError("There is no git on this machine.", "Install it.")
    command = [program, "-C", str(folder.absolute()), "--no-pager", *arguments]
    try:
        return subprocess.run(
            command,
            cwd=home() if home().is_dir() else "/",
            env={**reading_environment(settings), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"git did not answer within {_SECONDS:.0f} seconds.", "Attach single files.") from error
