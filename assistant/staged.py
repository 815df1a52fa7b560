"""What is staged in a git repository, as much of it as a model should read; and committing it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import EditConflict, InputError, StorageError
from assistant.ignore import is_secret

BUDGET = 12_000
"""Characters of diff that a model is shown, some 3,500 tokens: a CPU reads about a hundred in a second."""


PLAIN_DIFF = (
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-relative",
    "--find-renames",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)
"""Options of git diff under which the headers have one form, whatever the configuration says, and no program is started."""

_ESCAPE = re.compile(r'\\([0-7]{3}|[abfnrtv"\\])')
_ESCAPED = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


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
    diff = _git(root, "diff", "--staged", *PLAIN_DIFF, "--submodule=short", "--unified=2")
    if not diff.strip():
        raise InputError("Nothing is staged.", "Stage what belongs together first: git add FILE.")
    open_diff, secrets = without_secrets(diff)
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
    done = _run(what.root, "-c", "core.fsmonitor=false", "commit", "--file=-", "--cleanup=whitespace", stdin=message)
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())
        raise StorageError(f"git did not commit: {words[:300]}", "The message is printed above; use it with git commit.")
    return next(iter(done.stdout.splitlines()), "")


def reading_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """An environment in which git reads, fetches nothing and starts nothing; with `settings` above all that it has read.

    They go into the environment, since `-c` cannot express a name that has an equals sign in it.

    Raises:
        InputError: the environment has settings for git already, and does not say how many.
    """
    settings = {"core.fsmonitor": "false", "core.hooksPath": os.devnull, "core.quotePath": "false", **settings}
    present = os.environ.get("GIT_CONFIG_COUNT") or "0"
    if not present.isdecimal():
        raise InputError(f"GIT_CONFIG_COUNT is {present[:40]!r}, which is no number.", "Unset it.")
    added: dict[str, str] = {}
    for place, (key, value) in enumerate(settings.items(), int(present)):
        added |= {f"GIT_CONFIG_KEY_{place}": key, f"GIT_CONFIG_VALUE_{place}": value}
    return {
        **os.environ,
        **added,
        "GIT_CONFIG_COUNT": str(int(present) + len(settings)),
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "",
    }


def _git(folder: Path, *arguments: str) -> str:
    done = _run(folder, *arguments, environment=reading_environment({}))
    if done.returncode:
        words = " ".join(done.stderr.split())
        if "not a git repository" in words:
            raise InputError("This folder is in no git repository.", "Change into one.")
        raise InputError(f"git failed: {words[:300]}", "Mend that first.")
    return done.stdout


def _run(
    folder: Path, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    program = shutil.which("git")
    if program is None:
        raise InputError("There is no git on this machine.", "Install it.")
    done = subprocess.run(
        [program, "-C", str(folder), *arguments],
        env=environment,
        input=stdin.encode(errors="replace"),
        capture_output=True,
        check=False,
    )
    # Decoded here, since text mode would take a lone carriage return within a file for the end of a line of the diff.
    out, err = (each.decode(errors="replace") for each in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def without_secrets(diff: str) -> tuple[str, tuple[str, ...]]:
    """The diff with the names of secrets alone, and a sentence for each of them.

    A renamed file is a secret by its old name, too; a file whose names cannot be read from its header is not shown either.
    """
    kept, notes = [], []
    for text in _files(diff):
        header, names = text.partition("\n")[0], _names(text)
        secret = next((name for name in names if is_secret(Path(name))), None)
        if secret is not None:
            notes.append(f"{secret} looks like a secret and is staged; its content is not shown to the model.")
        elif not names:
            notes.append(f"It is not clear which file this is, and its content is not shown to the model: {header}")
        kept.append(text if names and secret is None else header + "\n")
    return "".join(kept), tuple(notes)


def _names(text: str) -> tuple[str, ...]:
    """The names, new one first, that a file of a diff has in its header; none where the header cannot be understood."""
    first, *lines = text.split("\n")
    names: list[str | None] = []
    for line in lines:
        kind = re.match(r"(--- |\+\+\+ |(?:rename|copy) (?:from|to) )", line)
        if line.startswith(("@@", "GIT binary patch", "Binary files ")):
            break
        if kind is None:
            continue
        name = _unquoted(line[kind.end() :].removesuffix("\t"))
        if not kind[1].startswith(("---", "+++")):
            names.append(name)
        elif name != "/dev/null":
            prefix = "a/" if kind[1] == "--- " else "b/"
            names.append(name.removeprefix(prefix) if name and name.startswith(prefix) else None)
    names = names or [_name_twice(first.removeprefix("diff --git "))]
    known = [name for name in reversed(names) if name]
    return tuple(dict.fromkeys(known)) if len(known) == len(names) else ()


def _name_twice(header: str) -> str | None:
    """The name in `a/NAME b/NAME`, as it stands where nothing else tells it: an empty file, a binary one, a new mode."""
    half = len(header) // 2
    old, new = _unquoted(header[:half]), _unquoted(header[half + 1 :])
    if not old or not new or header[half] != " " or not (old.startswith("a/") and new.startswith("b/")):
        return None
    return old[2:] if old[2:] == new[2:] else None


def _unquoted(name: str) -> str | None:
    """A name without the quotes that git puts around one with control characters, quotes or backslashes in it."""
    if not name.startswith('"'):
        return name
    inner = name[1:-1]
    if len(name) < 2 or not name.endswith('"') or '"' in _ESCAPE.sub("", inner) or "\\" in _ESCAPE.sub("", inner):
        return None
    parts = _ESCAPE.split(inner)
    raw = [part.encode() if place % 2 == 0 else bytes([_ESCAPED.get(part) or int(part, 8)]) for place, part in enumerate(parts)]
    return b"".join(raw).decode(errors="replace")


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
            name = next(iter(_names(text)), text.partition("\n")[0])
            left_out.append(
                f"{text.count(chr(10)) - kept.count(chr(10)):,} lines of the diff of {name} are not shown to the model."
            )
        remaining = max(remaining - len(kept), 0)
        shown.append((place, kept))
    return "".join(text for _, text in sorted(shown)), tuple(left_out)
