"""`assistant commit`: a message for what is staged in git, and the commit itself if you agree."""

from __future__ import annotations

import argparse

from assistant.cli.options import add_model_options, add_output_options


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("commit", help="write a message for what is staged in git", description=__doc__)
    parser.add_argument("--write", action="store_true", help="commit with the message, without asking")
    add_output_options(parser)
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the message, and commit where the user agrees; returns the exit code."""
    from assistant.cli.committing import commit

    return commit(options)
