"""Which files a model consists of, for everything that is kept about them."""

from __future__ import annotations

from pathlib import Path

from assistant.models import receipts


def fingerprint(name: str, path: Path) -> list[str]:
    """A line for each file of the model at `path`: the sha256 that a receipt vouches for, else its place, size and time."""
    receipt = receipts.installed(name)
    known = {receipt.folder / file.name: file for file in receipt.files} if receipt else {}
    paths = [path] if path.is_file() else sorted(one for one in path.iterdir() if one.is_file())
    lines = []
    for one in paths:
        stat, file = one.stat(), known.get(one)
        vouched = file is not None and (file.size, file.mtime) == (stat.st_size, stat.st_mtime_ns)
        lines.append(file.sha256 if file and vouched else f"{one.resolve()} {stat.st_size} {stat.st_mtime_ns}")
    return lines
