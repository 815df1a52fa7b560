"""`assistant ask`: a question, and what the model answers."""

from __future__ import annotations

import argparse

from assistant.cli.options import add_model_options, add_output_options


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("ask", help="ask a question about code", description=__doc__)
    parser.add_argument(
        "question", nargs="?", default="", help="what to ask; text that is piped in is shown to the model as well"
    )
    parser.add_argument(
        "-f",
        "--file",
        action="append",
        default=[],
        metavar="FILE[:A-B]",
        help="show this file, or its lines A to B, to the model; also a folder's files, or those of a pattern (src/**/*.py);"
        " may be repeated",
    )
    parser.add_argument("--no-stream", action="store_true", help="print the answer only when it is whole")
    add_output_options(parser)
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ask, and print the answer; returns the exit code."""
    from assistant.cli.asking import ask

    return ask(options)
