"""What is staged in a git repository, as much of it as a model should read; and committing it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import EditConflict, InputError, StorageError
from assistant.ignore import is_secret

BUDGET = 12_000
"""Characters of diff that a model is shown, some 3,500 tokens: a CPU reads about a hundred in a second."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The staged changes.

    tree: git's name for what would be committed, which tells whether it is still the same.
    diff: what the model is shown.  left_out: one sentence for each thing that it is not shown.
    """

    root: Path
    tree: str
    diff: str
    left_out: tuple[str, ...] = ()


def staged(folder: Path) -> Staged:
    """What is staged in the repository around `folder`.

    No program that the repository's settings name is run for it (external diffs, text conversions, a file watcher).

    Raises:
        InputError: git is missing, there is no repository, or nothing is staged.
    """
    root = Path(_git(folder, "rev-parse", "--show-toplevel").strip())
    diff = _git(root, "diff", "--staged", "--no-color", "--no-ext-diff", "--no-textconv", "--find-renames", "--unified=2")
    if not diff.strip():
        raise InputError("Nothing is staged.", "Stage what belongs together first: git add FILE.")
    open_diff, secrets = without_secrets(diff)
    shown, left_out = _within(open_diff, BUDGET)
    return Staged(root, _git(root, "write-tree").strip(), shown, (*secrets, *left_out))


def commit(what: Staged, message: str) -> str:
    """Commit what is staged, with the user's own hooks and identity; returns git's first line about it.

    Raises:
        EditConflict: something else is staged by now.
        StorageError: git refused; its own words are in the message.
    """
    if _git(what.root, "write-tree").strip() != what.tree:
        raise EditConflict("Something else is staged by now; nothing was committed.", "Ask again.", message)
    done = _run(what.root, "commit", "--file=-", "--cleanup=whitespace", stdin=message)
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())
        raise StorageError(f"git did not commit: {words[:300]}", "The message is printed above; use it with git commit.")
    return next(iter(done.stdout.splitlines()), "")


def _git(folder: Path, *arguments: str) -> str:
    done = _run(folder, *arguments)
    if done.returncode:
        words = " ".join(done.stderr.split())
        if "not a git repository" in words:
            raise InputError("This folder is in no git repository.", "Change into one.")
        raise InputError(f"git failed: {words[:300]}", "Mend that first.")
    return done.stdout


def _run(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    program = shutil.which("git")
    if program is None:
        raise InputError("There is no git on this machine.", "Install it.")
    return subprocess.run(
        [program, "-C", str(folder), "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", *arguments],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def without_secrets(diff: str) -> tuple[str, tuple[str, ...]]:
    """The diff with the names of secrets alone, and a sentence for each of them."""
    kept, notes = [], []
    for text in _files(diff):
        name = text.partition("\n")[0].rpartition(" b/")[2]
        if is_secret(Path(name)):
            notes.append(f"{name} looks like a secret and is staged; its content is not shown to the model.")
        kept.append(text.partition("\n")[0] + "\n" if is_secret(Path(name)) else text)
    return "".join(kept), tuple(notes)


def _files(diff: str) -> list[str]:
    return re.split(r"^(?=diff --git )", diff, flags=re.MULTILINE)[1:]


def _within(diff: str, budget: int) -> tuple[str, tuple[str, ...]]:
    """The diff, each file cut to a fair share of `budget` where all of it is longer, and what was cut."""
    files = _files(diff)
    if len(diff) <= budget:
        return diff, ()
    shown: list[tuple[int, str]] = []
    left_out: list[str] = []
    remaining = budget
    for place, text in sorted(enumerate(files), key=lambda item: len(item[1])):
        share = remaining // (len(files) - len(shown))
        kept = text if len(text) <= share else text[: max(text.rfind("\n", 0, share) + 1, text.find("\n") + 1)]
        if kept != text:
            name = text.partition("\n")[0].rpartition(" b/")[2]
            left_out.append(
                f"{text.count(chr(10)) - kept.count(chr(10)):,} lines of the diff of {name} are not shown to the model."
            )
        remaining = max(remaining - len(kept), 0)
        shown.append((place, kept))
    return "".join(text for _, text in sorted(shown)), tuple(left_out)
