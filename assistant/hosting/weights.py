"""Which weights these are, for everything that is kept about them."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from assistant.models import receipts
from assistant.models.spec import ModelSpec


def identity(spec: ModelSpec, engine: str, **details: object) -> str:
    """A line that differs whenever computed state of one model is of no use to another.

    engine: the distribution that computes, whose version counts.  details: what else changes the numbers, such as the format of
    the KV cache.
    """
    facts = {
        "weights": _weights(spec),
        "quantization": spec.quantization,
        "dtype": spec.dtype,
        "engine": f"{engine} {_version(engine)}",
        **details,
    }
    return json.dumps(facts, sort_keys=True, default=str)


def _weights(spec: ModelSpec) -> list[str]:
    """The verified sha256 of each file, where a receipt vouches for it; else its name, size and time."""
    receipt = receipts.installed(spec.name)
    known = {receipt.folder / file.name: file for file in receipt.files} if receipt else {}
    paths = [spec.path] if spec.path.is_file() else sorted(path for path in spec.path.iterdir() if path.is_file())
    lines = []
    for path in paths:
        stat, file = path.stat(), known.get(path)
        vouched = file is not None and (file.size, file.mtime) == (stat.st_size, stat.st_mtime_ns)
        lines.append(file.sha256 if file and vouched else f"{_place(path)} {stat.st_size} {stat.st_mtime_ns}")
    return lines


def _place(path: Path) -> str:
    return str(path.resolve())


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
