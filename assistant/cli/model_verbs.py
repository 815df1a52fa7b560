"""What `assistant models` does: one function for each of its subcommands."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from assistant.cli.downloads import consent_of, show_progress
from assistant.errors import ModelError
from assistant.models import conversions, receipts, registry
from assistant.models.catalogue import Entry, find, suggestion
from assistant.models.offers import size_text
from assistant.models.overview import Row, fix_rate_text, overview, row_of
from assistant.settings import model_cache


def list_models(options: argparse.Namespace) -> int:
    """Show all models."""
    rows = overview()
    if options.json:
        print(json.dumps({"models": [row.as_json() for row in rows]}))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "size", "installed", "licence", "fits here", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(row.name, size_text(row.size), "yes" if row.installed else "", row.licence, row.fits)
    width = None if sys.stdout.isatty() else 120
    Console(width=width, highlight=False).print(table)
    return 0


def show(options: argparse.Namespace) -> int:
    """Show one model: its files, its licence and what it needs."""
    row = row_of(options.name)
    if options.json:
        print(json.dumps(row.as_json()))
        return 0
    for title, value in _details(row):
        print(f"{title:<12} {value}")
    return 0


def _details(row: Row) -> list[tuple[str, str]]:
    details = [("name", row.name), ("title", row.title), ("size", size_text(row.size)), ("licence", row.licence)]
    if row.restrictions:
        details.append(("restrictions", row.restrictions))
    details += [("template", row.template), ("source", row.source or "your own files"), ("fits here", row.fits)]
    details += [(f"gpu {name}", f"{size_text(need)} (computed)") for name, need in row.gpu_bytes.items()]
    details += [("fix rate", fix_rate_text(row.fix_rate)), ("installed", row.folder or "no")]
    return details + [(f"file {number}", line) for number, line in enumerate(row.files, start=1)]


def pull(options: argparse.Namespace) -> int:
    """Download a model, verify it and keep it."""
    from assistant.models.installing import install

    entry = _pullable(options.name)
    with show_progress() as report:
        receipt = install(entry, consent_of(options), report, options.source)
    print(f"{receipt.name} is ready in {receipt.folder} ({size_text(receipt.size)}, verified).")
    return 0


def _pullable(name: str) -> Entry:
    from assistant.models.prepare import hub_entry, is_hub_id

    entry = find(name)
    if entry is None and not is_hub_id(name):
        raise ModelError(f"No model is called {name!r}.", suggestion(name))
    return entry or hub_entry(name)


def add(options: argparse.Namespace) -> int:
    """Give a model folder or GGUF file of your own a name."""
    row = registry.add(Path(options.path), options.name, options.template)
    print(f'{row.name} stands for {row.path} now: assistant ask -m {row.name} "…"')
    return 0


def verify(options: argparse.Namespace) -> int:
    """Compare the files of one model, or of all, with their hashes."""
    own = registry.lookup(options.name) if options.name else None
    if own:
        registry.check_path(own.path)
        print(f"{own.name} can be opened safely (there is no hash to compare with).")
        return 0
    for receipt in (_installed(options.name),) if options.name else receipts.all_installed():
        with show_progress() as report:
            receipts.check(receipt, receipt.files, report)
        print(f"{receipt.name}: every sha256 is right (files: {len(receipt.files)}, {size_text(receipt.size)}).")
    return 0


def remove(options: argparse.Namespace) -> int:
    """Delete a downloaded model, or forget a name."""
    if own := registry.lookup(options.name):
        registry.forget(options.name)
        freed = conversions.remove(options.name.casefold(), own.path)
        unpacked = f"; what was unpacked of it is removed ({size_text(freed)} freed)" if freed else ""
        print(f"{options.name} is forgotten; its files were not touched{unpacked}.")
        return 0
    entry = find(options.name)
    name = entry.name if entry else options.name
    if not receipts.folder_of(name).is_dir() or not (entry or "/" in name):
        raise ModelError(f"{options.name} is not installed.", "`assistant models list` shows what is.")
    receipt = receipts.installed(name)
    with show_progress() as report, receipts.locked(name, report):
        freed = conversions.remove(name, receipts.folder_of(name)) + receipts.remove(name)
    print(f"{name} is removed ({size_text(freed)} freed).")
    if receipt and not receipt.folder.is_relative_to(receipts.folder_of(name)):
        print(f"The hub's cache, which other programs share, still holds {receipt.folder}.")
    return 0


def disk_usage(options: argparse.Namespace) -> int:
    """Show how much of the disk each model takes."""
    from assistant.places import places

    rows = [(place.what.removeprefix("the model "), place) for place in places() if place.kind == "models"]
    rows.sort(key=lambda row: -row[1].bytes)
    if options.json:
        print(json.dumps({"models": [{"name": name, "path": str(place.path), "bytes": place.bytes} for name, place in rows]}))
        return 0
    for name, place in rows:
        print(f"{size_text(place.bytes):>10}  {name}")
    print(f"{size_text(sum(place.bytes for _, place in rows)):>10}  in all, in {model_cache().parent}")
    elsewhere = [receipt for receipt in receipts.all_installed() if not receipt.folder.is_relative_to(model_cache())]
    for receipt in elsewhere:
        print(f"{size_text(receipt.size):>10}  {receipt.name}, in the hub's own cache: {receipt.folder}")
    return 0


def _installed(name: str) -> receipts.Receipt:
    entry = find(name)
    receipt = receipts.installed(entry.name if entry else name)
    if receipt is None:
        _pullable(name)  # a name that nobody knows is an error of its own
        raise ModelError(f"{name} is not installed, or a part of it is missing.", f"Get it: assistant models pull {name}.")
    return receipt
