"""All models at a glance: what the catalogue offers, what is installed, what the user added, and what fits this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from assistant.errors import ModelError
from assistant.models import choice, cpu_format, receipts, registry
from assistant.models.catalogue import Entry, entries, find, suggestion
from assistant.models.hardware import Hardware, probe
from assistant.models.offers import size_text
from assistant.models.receipts import Receipt
from assistant.models.registry import Registered
from assistant.settings import Settings


@dataclass(frozen=True, slots=True)
class Row:
    """One model, for people and for `--json`.  `size` in bytes;  `fits`: how it would run here, in words."""

    name: str
    title: str
    size: int
    installed: bool
    licence: str
    fits: str
    template: str = "auto"
    restrictions: str = ""
    source: str = ""
    folder: str = ""
    files: tuple[str, ...] = ()
    gpu_bytes: Mapping[str, int] = field(default_factory=dict)
    fix_rate: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def overview() -> tuple[Row, ...]:
    """The catalogue, then other installed models, then the user's own."""
    hardware = probe()
    known = tuple(_catalogue_row(entry, hardware) for entry in entries())
    others = tuple(_other_row(receipt) for receipt in receipts.all_installed() if find(receipt.name) is None)
    return known + others + tuple(_own_row(row) for row in registry.registered())


def row_of(name: str) -> Row:
    """One model by name.

    Raises:
        ModelError: there is none of that name.
    """
    entry = find(name)
    if entry:
        return _catalogue_row(entry, probe())
    own = registry.lookup(name)
    if own:
        return _own_row(own)
    receipt = receipts.installed(name)
    if receipt is None:
        raise ModelError(f"No model is called {name!r}.", suggestion(name, tuple(row.name for row in registry.registered())))
    return _other_row(receipt)


def fix_rate_text(rate: float | None) -> str:
    """The share of bug-fixing cases that a model solved, in words."""
    return "not measured" if rate is None else f"{rate:.0%} of the bug-fixing cases"


def _catalogue_row(entry: Entry, hardware: Hardware) -> Row:
    receipt = receipts.installed(entry.name)
    pinned = tuple(f"{file.name} ({size_text(file.size)}, sha256 {file.sha256 or 'from the hub'})" for file in entry.files)
    return Row(
        name=entry.name,
        title=entry.title,
        size=receipt.size if receipt else entry.download_bytes,
        installed=receipt is not None,
        licence=entry.licence,
        fits=_fits(entry, hardware),
        template=entry.template,
        restrictions=entry.restrictions,
        source=_sources(entry),
        folder=str(receipt.folder) if receipt else "",
        files=_files(receipt)
        if receipt
        else pinned or ("hashes come from the hub's own listing and are recorded at first download",),
        gpu_bytes=entry.gpu_bytes or {},
        fix_rate=entry.fix_rate,
    )


def _fits(entry: Entry, hardware: Hardware) -> str:
    placed = choice.place(entry, hardware, Settings())
    if placed.device not in ("cpu", "auto"):
        return f"{placed.device}, {placed.quantization}"
    found = cpu_format.expected(entry.parameters, None, hardware) if placed.quantization == "auto" else None
    each = 1 if found and found.name == "int8" else 2
    need = entry.download_bytes if entry.format == "gguf" else entry.parameters * each
    held = f", {cpu_format.shown(found.name)}" if found else ""
    return f"on the CPU{held}" if need * 5 // 4 < hardware.free_memory else "no"


def _sources(entry: Entry) -> str:
    places = ([f"hub {entry.repo}"] if entry.repo else []) + ([f"mirror {entry.mirror[0].project}"] if entry.mirror else [])
    return ", ".join(places) + (" (gated: its licence has to be accepted there first)" if entry.gated else "")


def _other_row(receipt: Receipt) -> Row:
    licence = "see its model card"
    return Row(
        receipt.name,
        receipt.name,
        receipt.size,
        True,
        licence,
        "",
        source=receipt.source,
        folder=str(receipt.folder),
        files=_files(receipt),
    )


def _own_row(own: Registered) -> Row:
    files = own.path.glob("*") if own.path.is_dir() else [own.path]
    size = sum(file.stat().st_size for file in files if file.is_file())
    return Row(own.name, own.name, size, own.path.exists(), "your own", "", template=own.template, folder=str(own.path))


def _files(receipt: Receipt) -> tuple[str, ...]:
    return tuple(f"{file.name} ({size_text(file.size)}, sha256 {file.sha256})" for file in receipt.files)
