"""`assistant models`: which models there are, and which of them lie on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from assistant.cli.downloads import consent_of, show_progress
from assistant.errors import ModelError
from assistant.models import receipts, registry
from assistant.models.catalogue import Entry, find, suggestion
from assistant.models.offers import size_text
from assistant.models.overview import Row, fix_rate_text, overview, row_of


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its own subcommands to the parser."""
    parser = commands.add_parser("models", help="list, download, verify and remove models", description=__doc__)
    verbs = parser.add_subparsers(title="what to do", metavar="VERB", required=True)
    for verb in (_list, _show, _pull, _add, _verify, _remove):
        _add_verb(verbs, verb)
    verbs.choices["list"].add_argument("--json", action="store_true", help="print one JSON object")
    verbs.choices["show"].add_argument("--json", action="store_true", help="print one JSON object")
    for name in ("show", "pull", "remove"):
        verbs.choices[name].add_argument("name", metavar="NAME")
    verbs.choices["verify"].add_argument("name", nargs="?", metavar="NAME")
    _add_pull_options(verbs.choices["pull"])
    _add_add_options(verbs.choices["add"])


def run(options: argparse.Namespace) -> int:
    """Do what the subcommand says; returns the exit code."""
    verb: Callable[[argparse.Namespace], int] = options.verb
    return verb(options)


def _add_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser], verb: Callable[[argparse.Namespace], int]) -> None:
    text = (verb.__doc__ or "").rstrip(".")
    parser = verbs.add_parser(verb.__name__.removeprefix("_"), help=f"{text[0].lower()}{text[1:]}", description=verb.__doc__)
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("-y", "--yes", action="store_true", help="answer every question with yes")
    parser.set_defaults(run=run, verb=verb)


def _add_pull_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source", default="auto", metavar="SOURCE", help="auto, hub, mirror, or a folder that holds the files"
    )


def _add_add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="a folder with safetensors, or a GGUF file")
    parser.add_argument("--name", help="the name (default: that of the folder or file)")
    parser.add_argument(
        "--template", choices=registry.TEMPLATES, default="auto", help="how conversations are written down for it"
    )


def _list(options: argparse.Namespace) -> int:
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


def _show(options: argparse.Namespace) -> int:
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


def _pull(options: argparse.Namespace) -> int:
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


def _add(options: argparse.Namespace) -> int:
    """Give a model folder or GGUF file of your own a name."""
    row = registry.add(Path(options.path), options.name, options.template)
    print(f'{row.name} stands for {row.path} now: assistant ask -m {row.name} "…"')
    return 0


def _verify(options: argparse.Namespace) -> int:
    """Compare the files of one model, or of all, with their hashes."""
    own = registry.lookup(options.name) if options.name else None
    if own:
        registry.check_path(own.path)
        print(f"{own.name} can be opened safely (there is no hash to compare with).")
        return 0
    for receipt in (_installed(options.name),) if options.name else receipts.all_installed():
        with show_progress() as report:
            receipts.check(receipt, receipt.files, report)
        print(f"{receipt.name}: {len(receipt.files)} files, {size_text(receipt.size)}, every sha256 is right.")
    return 0


def _remove(options: argparse.Namespace) -> int:
    """Delete a downloaded model, or forget a name."""
    if registry.lookup(options.name):
        registry.forget(options.name)
        print(f"{options.name} is forgotten; its files were not touched.")
        return 0
    entry = find(options.name)
    name = entry.name if entry else options.name
    if not receipts.folder_of(name).is_dir() or not (entry or "/" in name):
        raise ModelError(f"{options.name} is not installed.", "`assistant models list` shows what is.")
    receipt = receipts.installed(name)
    with show_progress() as report, receipts.locked(name, report):
        freed = receipts.remove(name)
    print(f"{name} is removed ({size_text(freed)} freed).")
    if receipt and not receipt.folder.is_relative_to(receipts.folder_of(name)):
        print(f"The hub's cache, which other programs share, still holds {receipt.folder}.")
    return 0


def _installed(name: str) -> receipts.Receipt:
    entry = find(name)
    receipt = receipts.installed(entry.name if entry else name)
    if receipt is None:
        raise ModelError(f"{name} is not installed, or a part of it is missing.", f"Get it: assistant models pull {name}.")
    return receipt
