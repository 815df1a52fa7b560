"""Computed beginnings of conversations on disk, so that a new host need not read them again.

One entry is two files in the folder: `NAME.kv`, which an engine writes and reads, and `NAME.json`, written last, which says
what it holds.  An entry is used only where everything agrees: the model's weights, how they are held, the engine's version, who
asked, the token ids, and the digest of the file, since an engine may end the whole process over a damaged one.

Conversations are private: the folder is 0700, every file 0600.  Nothing here decides whether they may be kept at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from assistant.settings import private_folder

TOTAL_BYTES = 512 << 20
ENTRY_BYTES = 192 << 20
_ERA = "era"
_FORMAT = 1
_WRITING_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Entry:
    """What `NAME.json` says.

    identity: the weights and the engine that computed it; see `assistant.hosting.weights`.
    owner: a digest of the token that asked; empty for the user's own programs.
    ids: the tokens whose state it holds, in order.
    """

    name: str
    identity: str
    owner: str
    ids: tuple[int, ...]
    bytes: int
    digest: str
    format: int = _FORMAT


class PrefixStore:
    """The entries of one model in a folder that all models share."""

    def __init__(self, folder: Path, identity: str, total: int = TOTAL_BYTES, each: int = ENTRY_BYTES) -> None:
        self.folder = private_folder(folder)
        self._identity = identity
        self._total = total
        self._each = each

    def best(self, prompt: Sequence[int], owner: str) -> tuple[Entry, int] | None:
        """The entry that shares most with the beginning of `prompt`, and how many tokens; of equals the smallest."""
        found = [
            (shared(entry.ids, prompt), -entry.bytes, entry)
            for entry in self._entries()
            if entry.identity == self._identity and entry.owner == owner
        ]
        if not found:
            return None
        most, _, entry = max(found, key=lambda one: one[:2])
        return (entry, most) if most else None

    def sound(self, entry: Entry) -> bool:
        """Whether the file is as it was written; a damaged entry is removed, a sound one counts as used just now."""
        path = self.folder / f"{entry.name}.kv"
        try:
            whole = path.stat().st_size == entry.bytes and _digest(path) == entry.digest
            if whole:
                os.utime(path)
        except OSError:
            whole = False
        if not whole:
            self._remove(entry.name)
        return whole

    def era(self) -> str:
        """A name that is another once the history was erased, for it lies in the folder; empty where it cannot be had."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileExistsError):
                descriptor = os.open(self.folder / _ERA, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "w", encoding="ascii") as file:
                    file.write(secrets.token_hex(8))
        except OSError:
            return ""
        return self._era()

    def keep(self, ids: Sequence[int], owner: str, write: Callable[[Path], int], era: str | None = None) -> bool:
        """Keep the state of `ids`, which `write` puts into a file; it answers how many of them that holds, 0 for none.

        Entries that the new one continues are removed, and then the least recently used until all fit.  False where nothing was
        kept: it is too large, cannot be written, or the history was erased since `era`, and this with it.
        """
        if era is not None and (not era or self._era() != era):
            return False
        name = secrets.token_hex(8)
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)  # it goes when the history is erased
            entry = self._written(name, ids, owner, write)
        except OSError:
            entry = None
        if entry is None:
            self._remove(name)
            return False
        self._supersede(entry)
        self._evict()
        return True

    def _era(self) -> str:
        try:
            return (self.folder / _ERA).read_text(encoding="ascii")
        except OSError:
            return ""

    def _written(self, name: str, ids: Sequence[int], owner: str, write: Callable[[Path], int]) -> Entry | None:
        path = self.folder / f"{name}.kv"
        held = tuple(ids[: write(path)])
        path.chmod(0o600)
        size = path.stat().st_size
        if not held or not self._agrees(path, held) or size > min(self._each, self._total):
            return None
        entry = Entry(name, self._identity, owner, held, size, _digest(path))
        self._note(entry)
        return entry

    def _agrees(self, path: Path, ids: tuple[int, ...]) -> bool:
        """Whether the file itself names these ids: engines write them as 32-bit integers near its beginning."""
        wanted = b"".join(token.to_bytes(4, "little") for token in ids)
        with path.open("rb") as file:
            return wanted in file.read(len(wanted) + 4096)

    def _note(self, entry: Entry) -> None:
        draft = self.folder / f"{entry.name}.new"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(entry), file)
        draft.replace(self.folder / f"{entry.name}.json")

    def _supersede(self, new: Entry) -> None:
        for entry in self._entries():
            same = (entry.identity, entry.owner) == (new.identity, new.owner)
            if entry.name != new.name and same and shared(entry.ids, new.ids) == len(entry.ids):
                self._remove(entry.name)

    def _evict(self) -> None:
        """Forget what cannot be read, what was left half written, and the least recently used beyond the limit."""
        known = {entry.name for entry in self._entries()}
        files = []
        for path in self.folder.iterdir():
            if path.suffix == ".kv" and path.stem in known:
                with suppress(OSError):
                    files.append((path.stat().st_mtime_ns, path))
            elif path.stem not in known and _old(path):
                self._remove(path.stem)
        left = self._total
        for _, path in sorted(files, reverse=True):
            with suppress(OSError):
                left -= path.stat().st_size
            if left < 0:
                self._remove(path.stem)

    def _entries(self) -> Iterator[Entry]:
        for path in sorted(self.folder.glob("*.json")):
            entry = _read(path)
            if entry is not None:
                yield entry

    def _remove(self, name: str) -> None:
        for ending in ("json", "new", "kv"):
            with suppress(OSError):
                (self.folder / f"{name}.{ending}").unlink()


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids two sequences have in common from their beginnings."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _read(path: Path) -> Entry | None:
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        entry = Entry(**{**raw, "ids": tuple(raw["ids"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    sane = entry.name == path.stem and all(type(token) is int for token in entry.ids)
    return entry if sane and entry.format == _FORMAT else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _old(path: Path) -> bool:
    """Whether nobody can still be writing it."""
    try:
        return time.time() - path.stat().st_mtime > _WRITING_SECONDS
    except OSError:
        return False
