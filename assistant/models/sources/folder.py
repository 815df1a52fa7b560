"""A model from a folder that already holds its files: a USB stick, a network drive, a colleague's copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from assistant.errors import DownloadError, InputError
from assistant.models.catalogue import Entry, ModelFile
from assistant.models.files import CHUNK, publish, require_space, sha256_of, storage_errors
from assistant.models.offers import Progress
from assistant.models.sources.hub import is_wanted


def listing(entry: Entry, source: Path) -> tuple[ModelFile, ...]:
    """The entry's files in `source`: those that are pinned, or else all that a safe model folder holds.

    Raises:
        InputError: the folder, or a file in it, is missing.
    """
    if not source.is_dir():
        raise InputError(f"{source} is not a folder.", "Give --source hub, mirror, or a folder that holds the files.")
    names = [file.name for file in entry.files] or sorted(
        path.name for path in source.iterdir() if path.is_file() and is_wanted(path.name)
    )
    missing = [name for name in names if not (source / name).is_file()]
    if missing or not names:
        raise InputError(f"{source} holds no {missing[0] if missing else 'model'}.", "Give a folder that holds the files.")
    pinned = {file.name: file.sha256 for file in entry.files}
    return tuple(ModelFile(name, (source / name).stat().st_size, pinned.get(name)) for name in names)


def fetch(files: tuple[ModelFile, ...], source: Path, folder: Path, report: Callable[[Progress], None]) -> dict[str, str]:
    """Copy `files` into `folder`; returns the sha256 of each.

    Raises:
        DownloadError: a file is not the publisher's.
        StorageError: the disk is full or not writable.
    """
    total = sum(file.size for file in files)
    require_space(folder, total)
    done, hashes = 0, {}
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            hashes[file.name] = _copy(file, source, folder)
            done += file.size
            report(Progress("download", done, total))
    return hashes


def _copy(file: ModelFile, source: Path, folder: Path) -> str:
    part = folder / f"{file.name}.part"
    with (source / file.name).open("rb") as reader, part.open("wb") as writer:
        while chunk := reader.read(CHUNK):
            writer.write(chunk)
    sha256 = sha256_of(part)
    if file.sha256 not in (None, sha256):
        part.unlink()
        raise DownloadError(
            f"{source / file.name} is not the publisher's file: its sha256 is wrong.", "Choose another --source."
        )
    publish(part, folder / file.name)
    return sha256
