"""What git says has changed, asked so that nothing of the repository runs.

A repository's own configuration can name programs that git starts on the way to a diff: filters, text converters, a monitor.
Those are switched off; what the user's own configuration names stays in force.
"""

from __future__ import annotations

import re
from pathlib import Path

from assistant.diff_secrets import without_secrets
from assistant.errors import InputError
from assistant.git import PLAIN_DIFF, ask
from assistant.secret_contents import secret_contents

MAX_BYTES = 1_000_000
"""A longer diff is refused: no model here could be shown one."""

_FILTER = re.compile(r"filter\.(.+)\.(?:clean|smudge|process)", re.IGNORECASE | re.DOTALL)


def diff(folder: Path, *, staged: bool = False) -> tuple[str, tuple[str, ...]]:
    """The changes in the repository around `folder` since its last commit; with `staged` those alone that a commit would take.

    Files that look like secrets, copies of them and ignored files are named, but not shown; a sentence for each says so.

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
    root = Path(_git(folder, "rev-parse", "--show-toplevel").decode(errors="surrogateescape").removesuffix("\n"))
    return without_secrets(text.decode(errors="replace"), root, secret_contents(root))


def _has_commit(folder: Path) -> bool:
    return ask(folder, "rev-parse", "--quiet", "--verify", "HEAD").returncode == 0


def _git(folder: Path, *arguments: str) -> bytes:
    done = ask(folder, *arguments, settings=_without_filters(folder))
    if done.returncode == 0:
        return done.stdout
    why = done.stderr.decode(errors="replace").strip().splitlines()
    raise InputError(f"git has no diff of {folder}: {why[0][:200] if why else 'it failed'}", "Run it inside a repository.")


def _without_filters(folder: Path) -> dict[str, str]:
    """Settings that take the force from every filter that the repository itself names."""
    done = ask(folder, "config", "--list", "--name-only", "--show-scope", "-z")
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
