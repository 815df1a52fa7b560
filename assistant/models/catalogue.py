"""The models that are known by name: where they come from, what they weigh, what their licence asks."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from assistant.errors import ModelError
from assistant.models.spec import Format

OPENRAIL = (
    "free to use and share, also commercially, but not to harm people: among others no malware, no deception, "
    "no medical or legal advice, and these restrictions go along with every copy"
)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model.  `size` in bytes; `sha256` in hex, or None where only the hub's own listing knows it."""

    name: str
    size: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class MirrorPart:
    """A piece of a file that lies, as data, inside a wheel of a Python package index."""

    project: str
    version: str
    member: str

    @property
    def wheel(self) -> str:
        """The wheel's file name, as the index lists it."""
        return f"{self.project.replace('-', '_')}-{self.version}-py3-none-any.whl"


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalogue.

    repo: its publisher's repository on the hub; None where it is to be had from the mirror only.
    files: the files that are pinned; empty where the hub's listing is taken, whose hashes are recorded at first download.
    mirror, mirror_bytes: the parts of the one file, in order, and what their wheels weigh together.
    download_bytes: what arrives from the hub, in bytes.
    gpu_bytes: free GPU memory needed under each quantization.
    fix_rate: share of our bug-fixing cases that it solved, 0 to 1; None where it was not measured.
    """

    name: str
    title: str
    format: Format
    template: str
    licence: str
    parameters: int
    download_bytes: int
    repo: str | None = None
    revision: str = "main"
    aliases: tuple[str, ...] = ()
    files: tuple[ModelFile, ...] = ()
    mirror: tuple[MirrorPart, ...] = ()
    mirror_bytes: int = 0
    gpu_bytes: Mapping[str, int] | None = None
    context_length: int | None = None
    gated: bool = False
    fix_rate: float | None = None

    @property
    def restrictions(self) -> str:
        """What the licence forbids, in a line; empty where it is a plain open-source licence."""
        return OPENRAIL if "OpenRAIL" in self.licence else ""


def find(name: str) -> Entry | None:
    """The entry of that name, alias or hub repository, whatever its case; None where there is none."""
    wanted = name.casefold()
    for entry in entries():
        if wanted in {known.casefold() for known in (entry.name, *entry.aliases, entry.repo or entry.name)}:
            return entry
    return None


def named(name: str) -> Entry:
    """Like `find`, for names that have to exist.

    Raises:
        ModelError: there is no such model; the remedy names those that are spelt alike.
    """
    entry = find(name)
    if entry is None:
        raise ModelError(f"No model is called {name!r}.", suggestion(name))
    return entry


def suggestion(name: str, others: tuple[str, ...] = ()) -> str:
    """One sentence that leads from a name that nobody knows to those that are known."""
    known = [*(alias for entry in entries() for alias in (entry.name, *entry.aliases)), *others]
    close = difflib.get_close_matches(name.casefold(), known, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return "`assistant models list` shows all names; a folder, a .gguf file, a hub id (owner/name) or a URL will do as well."


@cache
def entries() -> tuple[Entry, ...]:
    """Every entry, the strongest first."""
    table = tomllib.loads(files("assistant.models").joinpath("catalogue.toml").read_text(encoding="utf-8"))
    return tuple(_entry(name, row) for name, row in table.items())


def _entry(name: str, row: dict[str, Any]) -> Entry:
    pinned = tuple(ModelFile(**file) for file in row.pop("files", ()))
    mirror = row.pop("mirror", None)
    return Entry(
        name=name,
        files=pinned,
        aliases=tuple(row.pop("aliases", ())),
        mirror=_parts(mirror) if mirror else (),
        mirror_bytes=mirror["bytes"] if mirror else 0,
        download_bytes=row.pop("download_bytes", 0) or sum(file.size for file in pinned),
        **row,
    )


def _parts(mirror: dict[str, Any]) -> tuple[MirrorPart, ...]:
    numbers = range(1, mirror["parts"] + 1)
    return tuple(MirrorPart(mirror["project"].format(n=n), mirror["version"], mirror["member"].format(n=n)) for n in numbers)
