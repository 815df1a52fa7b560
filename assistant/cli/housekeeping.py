"""`assistant paths` and `assistant purge`: where everything lies, and how to be rid of it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from assistant.errors import Cancelled, UsageError

if TYPE_CHECKING:
    from assistant.places import Place

_KINDS = {
    "history": "conversations, typed lines, answers, and what hosts have computed of them",
    "models": "downloaded models (those of your own and the hub's own cache stay)",
    "state": "logs, names of models, choices, tokens",
}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands to the parser."""
    paths = commands.add_parser(
        "paths", help="show where everything lies", description="Show where everything lies, with sizes."
    )
    paths.add_argument("--json", action="store_true", help="print one JSON object")
    paths.set_defaults(run=run)
    purge = commands.add_parser(
        "purge", help="erase what lies on this machine", description="Show what would go, ask, and erase it."
    )
    for kind, text in _KINDS.items():
        purge.add_argument(f"--{kind}", action="store_true", help=text)
    purge.add_argument("--all", action="store_true", help="all of these, and your settings")
    purge.add_argument("--stop", action="store_true", help="end running model hosts first")
    purge.add_argument("-y", "--yes", action="store_true", help="do not ask")
    purge.set_defaults(run=run_purge)
    for parser in (paths, purge):
        parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Show the places; returns the exit code."""
    from assistant.places import places

    found = places()
    if options.json:
        rows = [
            {"kind": one.kind, "what": one.what, "path": str(one.path), "bytes": one.bytes, "exists": one.exists}
            for one in found
        ]
        print(json.dumps({"places": rows}))
    else:
        print_places(found)
    return 0


def run_purge(options: argparse.Namespace) -> int:
    """Erase what was named, after it was shown and agreed to; returns the exit code.

    Raises:
        UsageError: nothing was named, a model host runs, or nobody agreed.
        StorageError: something could not be removed; what was removed before stays so.
    """
    from assistant.cli.terminal import confirm
    from assistant.models.offers import size_text
    from assistant.places import erase, places, remove_empty_folders

    chosen = [
        one for one in places() if one.exists and (options.all or (one.kind != "settings" and getattr(options, one.kind)))
    ]
    if not (options.all or any(getattr(options, kind) for kind in _KINDS)):
        raise UsageError("Nothing was named.", "Give --history, --models, --state or --all.")
    if not chosen:
        print("There is nothing of that kind.")
        return 0
    print_places(chosen)
    total = size_text(sum(one.bytes for one in chosen))
    if not options.yes and not sys.stdin.isatty():
        raise UsageError(f"This would erase {total} for good.", "Agree with -y.")
    if not options.yes and not confirm(f"Erase these {total} for good?", default=False):
        raise Cancelled("Nothing was erased.")
    _without_hosts(stop=options.stop)
    for one in chosen:
        erase(one)
    remove_empty_folders()
    print(f"Erased {total}.")
    return 0


def print_places(places: tuple[Place, ...] | list[Place]) -> None:
    """A line for each place: its size, where it is, what it is."""
    from assistant.models.offers import size_text

    for one in places:
        size = size_text(one.bytes) if one.exists else "-"
        print(f"{one.kind:<9} {size:>9}  {one.path}\n{'':21}{one.what}")


def _without_hosts(*, stop: bool) -> None:
    """Make sure that no model host runs, for it holds files open and writes new ones.

    Raises:
        UsageError: one runs, and is not to be stopped.
    """
    import asyncio

    from assistant import hosts

    running = asyncio.run(hosts.running())
    if running and not stop:
        raise UsageError("A model host is running.", "End it with `assistant stop --all`, or give --stop as well.")
    asyncio.run(hosts.stop(running))
