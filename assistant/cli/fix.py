"""`assistant fix FILE[:A-B]`: find the bug in a file or a range of its lines, show the change, and make it if you agree."""

from __future__ import annotations

import argparse

from assistant.cli.checks import add_check_options
from assistant.cli.options import add_change_options, add_model_options, add_output_options, add_target


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("fix", help="fix a bug in a file", description=__doc__)
    add_target(parser, reports=True)
    add_change_options(parser)
    add_check_options(parser)
    add_output_options(parser)
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show the change, and make it where the user agrees; returns the exit code."""
    from assistant.cli.editing import edit
    from assistant.commands import command

    return edit(command("fix"), options)
