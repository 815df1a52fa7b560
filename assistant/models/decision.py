"""A choice that lasts: a running model host occupies the very memory that the choice looks at.

Without this, the second question would find the GPU full of the model that answered the first, and choose another.  So a choice
is kept for some hours in the assistant's folder, for as long as the machine and the settings are the same.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from assistant.errors import StorageError
from assistant.models import choice
from assistant.models.catalogue import Entry, find
from assistant.models.choice import Choice, Placement
from assistant.models.files import write_text
from assistant.models.hardware import Hardware
from assistant.settings import Settings, home

_LASTS = 12 * 3600.0
"""Seconds for which a choice is kept."""


def decide(hardware: Hardware, settings: Settings) -> Choice:
    """`choice.choose`, or what it said not long ago under the same circumstances."""
    key = _key(hardware, settings)
    kept, name = _recall(key)
    entry = find(name)
    if kept and entry:
        return Choice(entry, kept.quantization, kept.device, kept.reason, kept.warnings)
    chosen = choice.choose(hardware, settings)
    _remember(key, Placement(chosen.quantization, chosen.device, chosen.reason, chosen.warnings), chosen.entry.name)
    return chosen


def decide_place(entry: Entry, hardware: Hardware, settings: Settings) -> Placement:
    """`choice.place`, or what it said not long ago under the same circumstances."""
    key = _key(hardware, replace(settings, model=f"{entry.name} of {entry.parameters} parameters"))
    kept, _ = _recall(key)
    if kept:
        return kept
    placed = choice.place(entry, hardware, settings)
    _remember(key, placed, entry.name)
    return placed


def _key(hardware: Hardware, settings: Settings) -> str:
    """The same for the same machine and settings, however much memory happens to be free."""
    machine = replace(hardware, free_memory=0, gpus=tuple(replace(gpu, free=0) for gpu in hardware.gpus))
    wanted = (settings.model, settings.quantization, settings.dtype, settings.device)
    return hashlib.sha256(json.dumps([asdict(machine), wanted], sort_keys=True).encode()).hexdigest()[:16]


def _recall(key: str) -> tuple[Placement | None, str]:
    row = _table().get(key, {})
    try:
        return Placement(row["quantization"], row["device"], row["reason"], tuple(row["warnings"])), row["name"]
    except (KeyError, TypeError):
        return None, ""


def _remember(key: str, placed: Placement, name: str) -> None:
    row = {**asdict(placed), "name": name, "until": time.time() + _LASTS}
    try:
        write_text(_file(), json.dumps({**_table(), key: row}))
    except StorageError:
        return  # Nothing is lost but stability; whatever writes to the folder next will report it.


def _table() -> dict[str, dict[str, Any]]:
    """The choices that still count."""
    now = time.time()
    try:
        table = json.loads(_file().read_text(encoding="utf-8"))
        return {key: row for key, row in table.items() if now < row["until"] <= now + _LASTS}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _file() -> Path:
    return home() / "choices.json"
