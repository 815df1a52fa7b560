"""Checkpoints that are either whole or not there: written aside, forced to disk, sealed by a manifest, renamed.

A checkpoint is a folder `step-00000050` with three safetensors files for each rank and `manifest.json`, which names every
file with its bytes and sha256.  Until it is renamed to that name it is `.step-00000050.partial`, and nobody resumes from it.
Nothing here knows of ranks or imports torch, so that a writer can be killed thousands of times in a test.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file

from assistant.errors import StorageError

MANIFEST = "manifest.json"
_FORMAT = 2


@dataclass(frozen=True, slots=True)
class Seal:
    """One file of a checkpoint."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a checkpoint holds.

    step: optimiser steps done, and so the position in the data.  updates: steps that were not skipped.
    world_size: ranks that wrote it.  shapes: shape of every trained tensor.
    data: fingerprint of the packed data.  recipe: the keys that decide the curve.
    rng: how random numbers follow from the step; no state of them is kept.
    """

    step: int
    updates: int
    world_size: int
    shapes: dict[str, list[int]]
    data: str
    recipe: dict[str, Any]
    files: tuple[Seal, ...] = ()
    rng: str = "seeded anew each step from (seed, step, rank)"
    format: int = _FORMAT


def begin(folder: Path, step: int) -> Path:
    """An empty folder to write the checkpoint of `step` to.

    Raises:
        StorageError: it cannot be made.
    """
    partial = folder / f".{_name(step)}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    except OSError as error:
        raise _storage(partial, error) from error
    return partial


def write_shard(partial: Path, name: str, tensors: Mapping[str, NDArray[np.float32]]) -> Seal:
    """Write and force to disk one file of a checkpoint.

    Raises:
        StorageError: the disk is full or not writable.
    """
    path = partial / name
    try:
        save_file(dict(tensors), path)
        _force(path)
        return Seal(name, path.stat().st_size, _sha256(path))
    except (OSError, SafetensorError) as error:
        raise _storage(path, error) from error


def commit(partial: Path, manifest: Manifest) -> Path:
    """Seal a checkpoint and give it its name; from here on it is one to resume from.

    Raises:
        StorageError: the disk is full or not writable.
    """
    final = partial.parent / _name(manifest.step)
    try:
        path = partial / MANIFEST
        path.write_text(json.dumps(asdict(manifest)), encoding="utf-8")
        _force(path)
        _force(partial)
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        _force(partial.parent)
    except OSError as error:
        raise _storage(partial, error) from error
    return final


def discard(partial: Path) -> None:
    """Remove what an attempt left behind."""
    shutil.rmtree(partial, ignore_errors=True)


def prune(folder: Path, keep: int, step: int) -> None:
    """Remove all but the newest `keep` checkpoints (at least one) up to that of `step`, and what earlier attempts left behind.

    Later ones are damaged, or the run would have gone on from them: they stay, and take nobody's place.
    """
    for path in [path for path in _complete(folder) if _step(path) <= step][max(1, keep) :]:
        # A folder that loses its name first is never mistaken for a checkpoint, however the removal ends.
        gone = path.with_name(f".{path.name}.partial")
        shutil.rmtree(gone, ignore_errors=True)
        path.rename(gone)
    for path in folder.glob(".step-*.partial"):
        shutil.rmtree(path, ignore_errors=True)


def newest(folder: Path, damaged: Callable[[Path], None] = lambda _: None) -> tuple[Path, Manifest] | None:
    """The newest checkpoint that verifies, None where there is none; newer ones that do not are told to `damaged`."""
    for path in _complete(folder):
        manifest = verified(path)
        if manifest is not None:
            return path, manifest
        damaged(path)
    return None


def described(folder: Path) -> tuple[Path, Manifest] | None:
    """The newest checkpoint that says what it is, without a look at its files; None where there is none."""
    for path in _complete(folder):
        manifest = _manifest(path)
        if manifest is not None:
            return path, manifest
    return None


def verified(path: Path) -> Manifest | None:
    """The manifest of a checkpoint all of whose files have the bytes that were written; else None."""
    manifest = _manifest(path)
    try:
        return manifest if manifest and all(_holds(path / one.name, one) for one in manifest.files) else None
    except (OSError, ValueError, TypeError):
        return None


def _manifest(path: Path) -> Manifest | None:
    try:
        raw = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        manifest = Manifest(**(raw | {"files": tuple(Seal(**one) for one in raw["files"])}))
        whole = manifest.format == _FORMAT and bool(manifest.files) and manifest.step == _step(path)
        return manifest if whole and isinstance(manifest.recipe, dict) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _complete(folder: Path) -> list[Path]:
    """Checkpoint folders, newest first; not what a user has put aside under a longer name."""
    found = [path for path in folder.glob("step-*") if path.name.removeprefix("step-").isdecimal() and path.is_dir()]
    return sorted(found, key=_step, reverse=True)


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _holds(path: Path, seal: Seal) -> bool:
    return path.stat().st_size == seal.bytes and _sha256(path) == seal.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _force(path: Path) -> None:
    """Have the operating system write a file or a folder's entries to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _storage(path: Path, error: Exception) -> StorageError:
    return StorageError(f"{path} cannot be written: {error}.", "Free space or choose another output folder.")
