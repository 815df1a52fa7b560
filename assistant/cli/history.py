"""`assistant history`: conversations that were kept: list, search, show, delete, export."""

from __future__ import annotations

import argparse

from assistant.cli.options import add_debug, add_verbs

_VERBS = {
    "list": "List conversations, the latest first.",
    "search": "Find conversations in which all of these words occur.",
    "show": "Show one conversation.",
    "delete": "Delete conversations for good.",
    "export": "Write conversations as rows for training, or as Markdown.",
}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its own subcommands to the parser."""
    parser = commands.add_parser("history", help="list, search, show, delete and export conversations", description=__doc__)
    parser.set_defaults(run=run, verb="list", limit=None, json=False)
    add_debug(parser)
    verbs = add_verbs(parser, _VERBS, run, required=False)
    for each in (parser, *verbs.values()):
        each.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")
    _add_arguments(verbs)


def run(options: argparse.Namespace) -> int:
    """Do what the subcommand says; returns the exit code."""
    from assistant.cli import history_verbs

    verbs = {
        "list": history_verbs.list_conversations,
        "search": history_verbs.search_conversations,
        "show": history_verbs.show,
        "delete": history_verbs.delete,
        "export": history_verbs.export,
    }
    return verbs[options.verb](options)


def _add_arguments(verbs: dict[str, argparse.ArgumentParser]) -> None:
    verbs["list"].add_argument("-n", "--limit", type=_count, metavar="N", help="show at most so many")
    verbs["search"].add_argument("words", nargs="+", metavar="WORD", help='a word, or "several words" that stand together')
    verbs["search"].add_argument("-n", "--limit", type=_count, default=20, metavar="N", help="show at most so many (20)")
    verbs["show"].add_argument("name", nargs="?", metavar="ID", help="its id, or the beginning of it; without one the latest")
    verbs["delete"].add_argument("names", nargs="*", metavar="ID", help="conversations by id, or the beginning of it")
    verbs["delete"].add_argument("--older-than", type=_days, metavar="DAYS", help="those that rested for so many days")
    verbs["delete"].add_argument("--all", action="store_true", help="every conversation, and the lines typed in chats")
    verbs["delete"].add_argument("-y", "--yes", action="store_true", help="do not ask")
    verbs["export"].add_argument("names", nargs="*", metavar="ID", help="conversations by id; without any, all of them")
    verbs["export"].add_argument("--format", choices=("jsonl", "markdown"), default="jsonl", help="jsonl: rows for training")
    verbs["export"].add_argument("-o", "--output", metavar="FILE", help="a new file; without one, standard output")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _days(text: str) -> float:
    try:
        days = float(text.removesuffix("d"))
    except ValueError:
        days = -1.0
    if not 0 <= days < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days")
    return days
