"""The files that a user attaches, by name, folder or pattern; secrets and ignored files come only by their very names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.document import Document, load
from assistant.errors import InputError, StorageError
from assistant.ignore import is_secret, reason_to_leave_out, repository_of

MOST_FILES = 400
MOST_BYTES = 16 * 1024**2
"""A folder with more is refused: no window holds them."""

NEVER = frozenset(
    (".git", ".hg", ".svn", "__pycache__", "node_modules", ".venv", "venv", ".tox", ".nox", ".mypy_cache", ".ruff_cache")
)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was attached.  notes: a sentence for each secret that was named, and for what was left out of a folder."""

    documents: tuple[Document, ...] = ()
    notes: tuple[str, ...] = ()


def gather(names: Sequence[str]) -> Gathered:
    """The files that `names` mean: a file, a folder with all below it, or a pattern such as `src/**/*.py`; each file once.

    Raises:
        InputError: a name means nothing, a file cannot be used, or there are more than `MOST_FILES`.
    """
    documents: dict[Path, Document] = {}
    notes: list[str] = []
    for name in names:
        if _is_file(name) or not _means_many(name):
            documents.setdefault(Path(name).absolute(), load(name))
            notes += secret_note(Path(name))
            continue
        left_out: Counter[str] = Counter()
        size = 0
        for path, document in _many(name, left_out):
            documents.setdefault(path.absolute(), document)
            size += len(document.raw)
            if len(documents) > MOST_FILES or size > MOST_BYTES:
                most = f"{MOST_FILES} files" if size <= MOST_BYTES else f"{MOST_BYTES // 1024**2} MiB"
                raise InputError(f"{name} has more than {most}.", "Attach a smaller folder, or a pattern.")
        if left_out:
            listed = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
            notes.append(f"Left out of {name}: {listed}.")
        elif not documents:
            raise InputError(f"{name} matches no file.", "Check the name.")
    return Gathered(tuple(documents.values()), tuple(notes))


def secret_note(path: Path) -> tuple[str, ...]:
    """A warning, where the user named a file that looks like a secret."""
    return (f"{path} looks like a secret; it is shown to the model because you named it.",) if is_secret(path) else ()


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError as error:  # a name that no file can have
        raise InputError(f"{name[:80]}… is no name of a file: {error.strerror}.", "Check the name.") from error


def _means_many(name: str) -> bool:
    return Path(name).is_dir() or any(sign in name for sign in "*?[")


def _many(name: str, left_out: Counter[str]) -> Iterator[tuple[Path, Document]]:
    """The text files that a folder or pattern means; the others are counted in `left_out`, by the reason."""
    folder = Path(name)
    top = (repository_of(folder) or folder) if folder.is_dir() else None
    for path in _below(folder, top, left_out) if top else _matching(name):
        reason = reason_to_leave_out(path, top, alone=top is not None)
        if reason:
            left_out[reason] += 1
            continue
        try:
            yield path, load(path)
        except (InputError, StorageError):
            left_out["empty or not text"] += 1


def _below(folder: Path, top: Path, left_out: Counter[str]) -> Iterator[Path]:
    if reason_to_leave_out(folder, top) == "ignored":
        left_out["ignored folder"] += 1
        return

    def unreadable(error: OSError) -> None:
        left_out["folder that cannot be read"] += 1

    for place, folders, files in os.walk(folder, onerror=unreadable):
        kept = [each for each in sorted(folders) if each not in NEVER]
        folders[:] = [each for each in kept if not reason_to_leave_out(Path(place, each), top, alone=True)]
        ignored = len(kept) - len(folders)
        left_out.update({"ignored folders" if ignored > 1 else "ignored folder": ignored} if ignored else {})
        yield from (Path(place, each) for each in sorted(files) if Path(place, each).is_file())


def _matching(pattern: str) -> Iterator[Path]:
    path = Path(pattern)
    root, inner = (Path(path.anchor), str(path.relative_to(path.anchor))) if path.is_absolute() else (Path(), pattern)
    try:
        found = sorted(each for each in root.glob(inner) if each.is_file())
    except (ValueError, NotImplementedError) as error:
        raise InputError(f"{pattern!r} is no pattern: {error}.", "Write it as src/**/*.py.") from error
    yield from (each for each in found if not NEVER.intersection(each.parts))
