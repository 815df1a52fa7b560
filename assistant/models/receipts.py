"""What is installed: for each model a receipt beside its files, so that opening one need not hash a gigabyte again.

A model lies in `model_cache()/NAME/`, its receipt is `receipt.json` there.  A receipt may name another folder, such as the
hub's own cache.  A file whose size and time are those of the receipt is taken as verified; any other is hashed again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from assistant.errors import ModelError
from assistant.models.catalogue import Entry, ModelFile, find
from assistant.models.files import sha256_of, storage_errors, write_text
from assistant.models.offers import Progress
from assistant.settings import model_cache

_NAME = "receipt.json"
_WAIT = 0.5


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file as it was when its hash was taken; `mtime` in nanoseconds."""

    name: str
    size: int
    mtime: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """An installed model.  `source` says in words where it came from, `revision` which of the publisher's versions it is."""

    name: str
    folder: Path
    source: str
    revision: str
    files: tuple[KnownFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


def folder_of(name: str) -> Path:
    """Where the files of a model are kept: a catalogue name, or a hub id, whose slash becomes two dashes."""
    return model_cache() / name.replace("/", "--")


def installed(name: str) -> Receipt | None:
    """The receipt of a model whose files are all there, with their sizes; None where it is not installed."""
    receipt = _read(name) or _found_without_receipt(name)
    if receipt is None or any(_size(receipt.folder / file.name) != file.size for file in receipt.files):
        return None
    return receipt


def confirm(receipt: Receipt, report: Callable[[Progress], None]) -> Receipt:
    """Hash every file that was touched since its hash was taken; the receipt is brought up to date.

    Raises:
        ModelError: a file is no longer what was downloaded.
    """
    touched = {file for file in receipt.files if (receipt.folder / file.name).stat().st_mtime_ns != file.mtime}
    return check(receipt, tuple(file for file in receipt.files if file in touched), report) if touched else receipt


def check(receipt: Receipt, files: tuple[KnownFile, ...], report: Callable[[Progress], None]) -> Receipt:
    """Hash `files` of a model and compare.

    Raises:
        ModelError: one is not what was downloaded.
    """
    total = sum(file.size for file in files)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        report(Progress("check", done, total))

    with storage_errors(receipt.folder):
        for file in files:
            if sha256_of(receipt.folder / file.name, advance) != file.sha256:
                raise damaged(receipt.name, file.name)
        return record(receipt.name, receipt.folder, receipt.source, receipt.revision, {f.name: f.sha256 for f in receipt.files})


def damaged(model: str, file: str) -> ModelError:
    """The error for a file whose hash is wrong."""
    return ModelError(
        f"The file {file} of {model} is damaged: its sha256 is not the one that was recorded.",
        f"Fetch it again: assistant models remove {model}, then assistant models pull {model}.",
    )


def record(name: str, folder: Path, source: str, revision: str, hashes: dict[str, str]) -> Receipt:
    """Write the receipt of a model whose files have the given sha256."""
    known = tuple(_known(folder, file, sha256) for file, sha256 in hashes.items())
    receipt = Receipt(name, folder, source, revision, known)
    write_text(folder_of(name) / _NAME, json.dumps(asdict(receipt), default=str, indent=1))
    return receipt


def all_installed() -> tuple[Receipt, ...]:
    """Every installed model, by name.

    Raises:
        StorageError: the cache may not be read.
    """
    with storage_errors(model_cache()):
        folders = sorted(model_cache().glob("*/")) if model_cache().is_dir() else []
    receipts = (installed(folder.name.replace("--", "/", 1)) for folder in folders if not folder.name.startswith("."))
    return tuple(receipt for receipt in receipts if receipt is not None)


def remove(name: str) -> int:
    """Delete a model's files from our own cache; returns the bytes that this frees (other caches keep theirs)."""
    folder = folder_of(name)
    with storage_errors(folder):
        freed = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
        shutil.rmtree(folder)
    return freed


@contextmanager
def locked(name: str, report: Callable[[Progress], None]) -> Iterator[None]:
    """Only one process at a time fetches or removes a model; the others wait, and say so through `report`."""
    import filelock

    folder = model_cache() / ".locks"
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / f"{folder_of(name).name}.lock")
        while True:
            try:
                lock.acquire(timeout=_WAIT)
                break
            except filelock.Timeout:
                report(Progress("waiting", 0, 0))
    try:
        yield
    finally:
        lock.release()


def _read(name: str) -> Receipt | None:
    try:
        raw = json.loads((folder_of(name) / _NAME).read_text(encoding="utf-8"))
        files = tuple(KnownFile(**file) for file in raw["files"])
        receipt = Receipt(raw["name"], _place(name, Path(raw["folder"]), files), raw["source"], raw["revision"], files)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return receipt if files and _agrees(receipt, find(name)) else None


def _place(name: str, folder: Path, files: tuple[KnownFile, ...]) -> Path:
    """Where the files lie: beside the receipt, also after the cache was moved or copied, else in the folder that it names."""
    own = folder_of(name)
    return own if all((own / file.name).exists() for file in files) else folder


def _agrees(receipt: Receipt, entry: Entry | None) -> bool:
    """Whether the receipt claims just the hashes that the catalogue pins."""
    claimed = {file.name: file.sha256 for file in receipt.files}
    return all(file.sha256 in (None, claimed.get(file.name)) for file in (entry.files if entry else ()))


def _found_without_receipt(name: str) -> Receipt | None:
    """Pinned files that someone put where ours would lie: their time counts as unknown, so that they are hashed first."""
    entry = find(name)
    if entry is None or not entry.files or not all(file.sha256 for file in entry.files):
        return None
    folder = folder_of(entry.name)
    return Receipt(
        entry.name, folder, "found in the model folder", entry.revision, tuple(_unseen(file) for file in entry.files)
    )


def _unseen(file: ModelFile) -> KnownFile:
    return KnownFile(file.name, file.size, -1, file.sha256 or "")


def _known(folder: Path, name: str, sha256: str) -> KnownFile:
    stat = (folder / name).stat()
    return KnownFile(name, stat.st_size, stat.st_mtime_ns, sha256)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
