"""A copy of a project to try changes on, without what is not its own: version control, dependencies, caches, secrets.

What the ignore rules leave out (`assistant.ignore`) is left out here, too.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import InputError, StorageError
from assistant.ignore import reason_to_leave_out

MOST_FILES = 20_000
MOST_BYTES = 512 * 1024**2

MARKS = (
    ".git",
    ".hg",
    "pyproject.toml",
    "setup.py",
    "package.json",
    "Cargo.toml",
    "go.mod",
    "Makefile",
    "pom.xml",
    "build.gradle",
)
"""A folder that holds one of these is the top of a project."""

LINKED = frozenset({".venv", "venv", "node_modules", ".tox", ".nox", "site-packages"})
"""Dependencies are not copied: a link leads to them, and they can be read but not written."""

LEFT_OUT = frozenset({".git", ".hg", ".svn", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"})


_UNREADABLE = frozenset({errno.EACCES, errno.EPERM, errno.ENOENT, errno.EIO, errno.ELOOP, errno.ENAMETOOLONG})


@dataclass(frozen=True, slots=True)
class Project:
    """A project's top folder, and the folder in it where a check starts."""

    root: Path
    start: Path


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a project.

    linked: folders that were not copied and may be read where they are.
    unreadable: files and folders that could not be read and are missing in the copy, relative to the project's top.
    """

    root: Path
    linked: tuple[Path, ...]
    unreadable: tuple[str, ...] = ()


def project_of(file: Path, start: Path) -> Project:
    """The project that a file belongs to.

    That is the nearest folder with one of `MARKS` that holds both the file and `start`, where the user's command is at home;
    else `start`, if the file lies in it; else the nearest with a mark around the file, or the file's own folder, and its top is
    the start.
    """
    file, start = file.resolve(), start.resolve()
    marked = [folder for folder in file.parents if _is_top(folder)]
    around = next((folder for folder in marked if start.is_relative_to(folder)), None)
    if around is not None:
        return Project(around, start)
    if file.is_relative_to(start) and start not in (_home(), Path(start.anchor)):
        return Project(start, start)
    top = marked[0] if marked else file.parent
    return Project(top, top)


def copy_project(project: Project, target: Path) -> Copy:
    """Copy the project to `target`, which must not exist yet; what cannot be read is left out.

    Raises:
        InputError: it has more than `MOST_FILES` files or `MOST_BYTES` bytes.
        StorageError: none of it can be read, or the disk is full.
    """
    files = size = 0
    linked: list[Path] = []
    unreadable: list[str] = []
    try:
        target.mkdir(parents=True)
        for entry, place in _entries(project.root, target, unreadable):
            if entry.name in LINKED and entry.is_dir():
                linked.append(Path(entry.path).resolve())
                place.symlink_to(linked[-1])
            elif entry.is_dir(follow_symlinks=False):
                place.mkdir()
            else:
                with _read_or_noted(entry.path, project.root, unreadable):
                    files, size = files + 1, size + entry.stat(follow_symlinks=False).st_size
                    if files > MOST_FILES or size > MOST_BYTES:
                        raise _too_large(project.root)
                    shutil.copy2(entry.path, place, follow_symlinks=False)
    except OSError as error:
        raise StorageError(
            f"{project.root} cannot be copied: {error.strerror}.", "Free some space, or check the files."
        ) from error
    return Copy(target, tuple(linked), tuple(unreadable))


@contextmanager
def _read_or_noted(path: str, root: Path, unreadable: list[str]) -> Iterator[None]:
    """Go on where one file or folder cannot be read, or is gone by now."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNREADABLE or Path(path) == root:
            raise
        if error.errno != errno.ENOENT:
            unreadable.append(str(Path(path).relative_to(root)))


def _entries(folder: Path, target: Path, unreadable: list[str]) -> Iterator[tuple[os.DirEntry[str], Path]]:
    """Everything that is to be copied or linked, folders before what they hold, and where it goes."""
    pending = [(str(folder), target)]
    while pending:
        source, place = pending.pop()
        listed: list[os.DirEntry[str]] = []
        with _read_or_noted(source, folder, unreadable), os.scandir(source) as entries:
            listed = list(entries)
        for entry in listed:
            if entry.name in LEFT_OUT or not _is_plain(entry) or _opens_too_much(entry, folder):
                continue
            if entry.name not in LINKED and reason_to_leave_out(Path(entry.path), folder, alone=True):
                continue
            yield entry, place / entry.name
            if entry.is_dir(follow_symlinks=False) and entry.name not in LINKED:
                pending.append((entry.path, place / entry.name))


def _opens_too_much(entry: os.DirEntry[str], root: Path) -> bool:
    """Whether a link named like dependencies leads out of the project, and to no virtual environment."""
    if entry.name not in LINKED or not entry.is_symlink():
        return False
    goal, root = Path(os.path.realpath(entry.path)), root.resolve()
    if goal != root and goal.is_relative_to(root):
        return False
    return not (entry.name in (".venv", "venv") and (goal / "pyvenv.cfg").is_file())


def _is_plain(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, a folder or a link: sockets, pipes and devices stay where they are."""
    return entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False) or entry.is_symlink()


def _is_top(folder: Path) -> bool:
    return folder != _home() and any((folder / mark).exists() for mark in MARKS)


def _home() -> Path | None:
    with suppress(RuntimeError):
        return Path.home().resolve()
    return None


def _too_large(root: Path) -> InputError:
    return InputError(
        f"The project in {root} is too large to be copied for a check:"
        f" more than {MOST_FILES:,} files or {MOST_BYTES // 1024**2} MiB.",
        "Start in the folder of the part that matters; it counts as a project if it has a pyproject.toml or Makefile.",
    )
