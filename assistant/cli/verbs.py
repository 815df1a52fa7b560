"""The commands about a file that need nothing of their own: those that explain, change, translate and test code."""

from __future__ import annotations

import argparse
from functools import partial

from assistant.cli.options import add_change_options, add_model_options, add_output_options, add_target
from assistant.commands import Command, command
from assistant.own_commands import Unusable, own_commands

_VERBS = {
    "explain": "what a file, or a range of its lines, does",
    "review": "what should be changed in a file or a range of its lines",
    "edit": "change a file, or a range of its lines, as you say; you see the change first",
    "document": "write docstrings and comments, and change nothing else; you see the change first",
    "translate": "write a file in another language beside the old one; never over a file",
    "tests": "write a file of tests beside the code; never over a file",
}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    for name, description in _VERBS.items():
        row = command(name)
        parser = commands.add_parser(
            name, help=row.title[0].lower() + row.title[1:], description=f"{row.title}: {description}."
        )
        add_arguments(parser, row)


def register_own(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> dict[str, str]:
    """Add the user's own commands; returns what is to be said beside a built-in command whose name a file of theirs has."""
    rows, unusable = own_commands()
    for row in rows:
        parser = commands.add_parser(
            row.name, help=f"{row.title} (your own)".replace("%", "%%"), description=f"{row.title}. A command of your own."
        )
        add_arguments(parser, row)
    shadowed: dict[str, str] = {}
    for each in unusable:
        if each.name in commands.choices:
            shadowed[each.name] = str(each.error)
        else:
            parser = commands.add_parser(each.name, help="cannot be used; run it to see why")
            parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
            parser.set_defaults(run=partial(_refuse, each))
    return shadowed


def _refuse(unusable: Unusable, options: argparse.Namespace) -> int:
    raise unusable.error


def add_arguments(parser: argparse.ArgumentParser, row: Command) -> None:
    """What a command of this effect takes."""
    add_target(parser, reports=row.takes("problems"))
    if row.takes("question"):
        parser.add_argument("question", metavar="INSTRUCTION", help="what to change")
    if row.makes == "translation":
        to = parser.add_argument("--to", metavar="LANG", help="the language: a name, or a file name ending such as js")
        setattr(to, "completer", _languages)  # noqa: B010 - an attribute that argcomplete looks for
    if row.effect == "file":
        parser.add_argument("-o", "--output", metavar="PATH", help="where to write, instead of beside the file; - prints")
    if row.effect == "edit":
        add_change_options(parser)
    if row.effect == "answer":
        parser.add_argument("--no-stream", action="store_true", help="print the answer only when it is whole")
    add_output_options(parser)
    add_model_options(parser)
    parser.set_defaults(run=run, command=row)


def _languages(**_: object) -> list[str]:
    """What the shell offers after `--to`."""
    from assistant.languages import LANGUAGES, PLAIN

    return [language.fence for language in LANGUAGES if language != PLAIN]


def run(options: argparse.Namespace) -> int:
    """Carry the command out, as its effect asks; returns the exit code."""
    match options.command.effect:
        case "edit":
            from assistant.cli.editing import edit

            return edit(options.command, options)
        case "file":
            from assistant.cli.creating import create

            return create(options.command, options)
        case _:
            from assistant.cli.asking import about_file

            return about_file(options.command, options)
