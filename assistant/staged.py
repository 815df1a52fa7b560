"""What is staged in a git repository, as much of it as a model should read; and committing it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from assistant.diff_secrets import files_of, names_of, without_secrets
from assistant.errors import EditConflict, InputError, StorageError
from assistant.git import PLAIN_DIFF, ask, program
from assistant.secret_contents import secret_contents

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
    root = Path(_git(folder, "rev-parse", "--show-toplevel").removesuffix("\n"))
    diff = _git(root, "diff", "--staged", *PLAIN_DIFF, "--submodule=short", "--unified=2")
    if not diff.strip():
        raise InputError("Nothing is staged.", "Stage what belongs together first: git add FILE.")
    open_diff, secrets = without_secrets(diff, root, secret_contents(root))
    shown, left_out = _within(open_diff.replace("\r\n", "\n"), BUDGET)
    return Staged(root, _git(root, "write-tree").strip(), shown, (*secrets, *left_out))


def commit(what: Staged, message: str) -> str:
    """Commit what is staged, with the user's own hooks and identity; returns git's first line about it.

    Raises:
        EditConflict: something else is staged by now.
        StorageError: git refused; its own words are in the message.
    """
    if _git(what.root, "write-tree").strip() != what.tree:
        raise EditConflict("Something else is staged by now; nothing was committed.", "Ask again.", message)
    command = (program(), "-C", str(what.root), "-c", "core.fsmonitor=false", "commit", "--file=-", "--cleanup=whitespace")
    done = subprocess.run(command, input=message.encode(errors="replace"), capture_output=True, check=False)
    out, err = (each.decode(errors="replace") for each in (done.stdout, done.stderr))
    if done.returncode:
        words = " ".join((err or out).split())
        raise StorageError(f"git did not commit: {words[:300]}", "The message is printed above; use it with git commit.")
    return next(iter(out.splitlines()), "")


def _git(folder: Path, *arguments: str) -> str:
    done = ask(folder, *arguments)
    if done.returncode:
        words = " ".join(done.stderr.decode(errors="replace").split())
        if "not a git repository" in words:
            raise InputError("This folder is in no git repository.", "Change into one.")
        raise InputError(f"git failed: {words[:300]}", "Mend that first.")
    # Decoded here, since text mode would take a lone carriage return within a file for the end of a line of the diff.
    return done.stdout.decode(errors="replace")


def _within(diff: str, budget: int) -> tuple[str, tuple[str, ...]]:
    """The diff, each file cut to a fair share of `budget` where all of it is longer, and what was cut."""
    files = files_of(diff)
    if len(diff) <= budget:
        return diff, ()
    shown: list[tuple[int, str]] = []
    left_out: list[str] = []
    remaining = budget
    for place, text in sorted(enumerate(files), key=lambda item: len(item[1])):
        share = remaining // (len(files) - len(shown))
        kept = text if len(text) <= share else text[: max(text.rfind("\n", 0, share) + 1, text.find("\n") + 1)]
        if kept != text:
            name = next(iter(names_of(text)), text.partition("\n")[0])
            left_out.append(
                f"{text.count(chr(10)) - kept.count(chr(10)):,} lines of the diff of {name} are not shown to the model."
            )
        remaining = max(remaining - len(kept), 0)
        shown.append((place, kept))
    return "".join(text for _, text in sorted(shown)), tuple(left_out)
