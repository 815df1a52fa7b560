"""GGUF models as the torch engine opens them: unpacked once, rounded to 8 or 4 bits of our own, kept in the cache.

A conversion is a folder, made under another name and renamed when it is whole.  `origin.json` in it says what it was made of;
the folder's name has a digest of that, so that another file is another conversion.  A file whose size and time are those that
were noted is taken as whole; any other is hashed again, as with downloads.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from assistant.models.files import sha256_of, storage_errors, write_text
from assistant.models.fingerprint import fingerprint
from assistant.models.receipts import KnownFile
from assistant.models.spec import ModelSpec
from assistant.settings import Quantization, model_cache, private_folder

KINDS: tuple[Quantization, ...] = ("int8", "int4")
"""What a GGUF model can be rounded to."""

FORM = 1
"""Of what is kept; another form is made anew."""

_ORIGIN = "origin.json"
_PART = ".part"
_GIVEN_UP = "What was begun is removed again"


@dataclass(frozen=True, slots=True)
class Conversion:
    """A folder that `torch_engine` opens.  model: what users call it.  gguf: what it was made of."""

    folder: Path
    model: str
    gguf: Path
    quantization: str
    files: tuple[KnownFile, ...]


def folder_of(spec: ModelSpec) -> Path:
    """Where the conversion of a GGUF model lies, or would."""
    facts = [FORM, spec.quantization, fingerprint(spec.name, spec.path)]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
    return root() / f"{spec.path.stem[:60].lstrip('.')}-{spec.quantization}-{digest}"


def found(spec: ModelSpec) -> Conversion | None:
    """The conversion of a GGUF model; None where there is none, or one that is damaged."""
    kept = _read(folder_of(spec))
    return kept if kept and all(_whole(kept.folder, file) for file in kept.files) else None


@contextmanager
def making(spec: ModelSpec) -> Iterator[Path]:
    """An empty private folder to write the conversion into; afterwards it has its name, or is gone where something was raised.

    Conversions of the same file in older forms, and of what lay there before, are removed first.

    Raises:
        StorageError: the disk is full or may not be written.
    """
    folder = folder_of(spec)
    draft = folder.with_name(f".{folder.name}{_PART}")
    with storage_errors(root(), _GIVEN_UP):
        for old in (folder, draft, *_outdated(spec)):
            shutil.rmtree(old, ignore_errors=True)
        private_folder(root())
        private_folder(draft)
        try:
            yield draft
            _note(spec, draft)
            draft.replace(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def kept() -> tuple[Conversion, ...]:
    """All conversions, whole or not."""
    read = (_read(folder) for folder in sorted(_folders()) if not folder.name.startswith("."))
    return tuple(conversion for conversion in read if conversion is not None)


def unfinished() -> tuple[Path, ...]:
    """What is being made, and what a process left behind that was ended meanwhile."""
    return tuple(sorted(folder for folder in _folders() if folder.name.startswith(".") and folder.name.endswith(_PART)))


def remove(model: str, place: Path) -> int:
    """Delete what was made of a model, or of files in or at `place`; returns the bytes that this frees.

    Raises:
        StorageError: it cannot be deleted.
    """
    gone = [one.folder for one in kept() if one.model == model or one.gguf.is_relative_to(place)]
    freed = 0
    with storage_errors(root()):
        for folder in gone:
            freed += sum(file.stat().st_size for file in folder.iterdir())
            shutil.rmtree(folder)
    return freed


def _outdated(spec: ModelSpec) -> Iterator[Path]:
    return (one.folder for one in kept() if one.gguf == spec.path and one.quantization == spec.quantization)


def _note(spec: ModelSpec, draft: Path) -> None:
    """Bring the files to the disk and write down what they are."""
    files = []
    for file in sorted(draft.iterdir()):
        with file.open("rb+") as stream:
            os.fsync(stream.fileno())
        stat = file.stat()
        files.append(KnownFile(file.name, stat.st_size, stat.st_mtime_ns, sha256_of(file)))
    made = Conversion(draft, spec.name, spec.path, spec.quantization, tuple(files))
    write_text(draft / _ORIGIN, json.dumps(asdict(made) | {"form": FORM}, default=str, indent=1))


def _read(folder: Path) -> Conversion | None:
    try:
        raw = json.loads((folder / _ORIGIN).read_text(encoding="utf-8"))
        files = tuple(KnownFile(**file) for file in raw["files"])
        return Conversion(folder, raw["model"], Path(raw["gguf"]), raw["quantization"], files)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _whole(folder: Path, file: KnownFile) -> bool:
    try:
        stat = (folder / file.name).stat()
        same = (stat.st_size, stat.st_mtime_ns) == (file.size, file.mtime)
        return same or (stat.st_size == file.size and sha256_of(folder / file.name) == file.sha256)
    except OSError:
        return False


def _folders() -> Iterator[Path]:
    return (path for path in root().iterdir() if path.is_dir()) if root().is_dir() else iter(())


def root() -> Path:
    """The folder of all of them."""
    return model_cache().parent / "converted"
