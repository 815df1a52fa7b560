"""Where everything of ours lies on this machine, how much it takes, and what may be erased; nothing outside is ever touched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assistant import settings
from assistant.errors import StorageError
from assistant.history.database import history_folder
from assistant.models import catalogue, conversions
from assistant.prefixes import prefixes_folder

Kind = Literal["history", "models", "state", "settings"]

_STATE = {
    "hosts": "addresses, locks and logs of model hosts",
    "models.json": "names that you gave to models of your own",
    "choices.json": "which model was chosen for this machine",
    "cpu-speed.json": "how quick this processor was found to be",
    "kernels": "a product of 8-bit numbers, compiled for this processor",
    "server-token": "what editors show to a language server at a port",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder of ours.  bytes: what it takes on the disk, 0 where it is not there."""

    kind: Kind
    what: str
    path: Path
    bytes: int

    @property
    def exists(self) -> bool:
        """Whether there is anything."""
        return os.path.lexists(self.path)


def places() -> tuple[Place, ...]:
    """All of them, those too that are not there yet."""
    return tuple(Place(kind, what, path, size_of(path)) for kind, what, path in _all())


def erase(place: Place) -> None:
    """Remove a file or folder; a link is removed, never what it leads to.

    Raises:
        StorageError: something could not be removed.
    """
    try:
        if place.path.is_dir() and not place.path.is_symlink():
            shutil.rmtree(place.path)
        else:
            place.path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"{error.filename or place.path} cannot be removed: {error.strerror}.",
            "Check its permissions, or remove it yourself.",
        ) from error


def remove_empty_folders() -> None:
    """Remove our own folders where nothing is left in them."""
    cache = settings.model_cache()
    for folder in (conversions.root(), cache, cache.parent, settings.home()):
        with suppress(OSError):  # somebody else's files are in it, or it is not there
            folder.rmdir()


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; links are not followed."""
    total = 0
    pending = [path]
    while pending:
        each = pending.pop()
        with suppress(OSError):  # gone meanwhile, or not ours to read
            if each.is_dir() and not each.is_symlink():
                pending += each.iterdir()
            else:
                total += each.lstat().st_size
    return total


def _all() -> Iterator[tuple[Kind, str, Path]]:
    yield "settings", "your settings", settings.settings_file()
    yield "settings", "commands of your own", settings.settings_file().parent / "commands"
    yield "history", "conversations, and the lines that you typed in chats", history_folder()
    yield "history", "answers that editors show as files", settings.home() / "answers"
    yield "history", "what model hosts have computed of conversations", prefixes_folder()
    for name, what in _STATE.items():
        yield "state", what, settings.home() / name
    yield from (("models", f"the model {name}", path) for name, path in _models())
    yield from (("models", what, path) for what, path in _conversions())


def _models() -> Iterator[tuple[str, Path]]:
    """Folders in the cache that hold a model of ours or a part of one; whatever else lies there is somebody else's."""
    cache = settings.model_cache()
    known = {entry.name for entry in catalogue.entries()}
    for path in sorted(cache.iterdir()) if cache.is_dir() else ():
        if path.name in known or (path / "receipt.json").is_file():
            yield path.name.replace("--", "/", 1), path
    if (cache / ".locks").is_dir():
        yield "locks", cache / ".locks"


def _conversions() -> Iterator[tuple[str, Path]]:
    for one in conversions.kept():
        yield f"{one.model} in {one.quantization}, unpacked for the torch engine", one.folder
    for path in conversions.unfinished():
        yield "a model that is being unpacked, or was when its host ended", path
