"""`assistant chat`: a conversation that goes on, in the terminal or line by line through a pipe."""

from __future__ import annotations

import argparse

from assistant.cli.options import add_answer_limits, add_model_options

LATEST = ""
"""What `--resume` stands for without an id."""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("chat", help="talk about code, turn by turn", description=__doc__)
    parser.add_argument("message", nargs="?", default="", help="what to say first")
    parser.add_argument(
        "-f", "--file", action="append", default=[], metavar="FILE[:A-B]", help="show this file to the model; may be repeated"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--resume", nargs="?", const=LATEST, metavar="ID", help="go on with a conversation; without an id, choose"
    )
    which.add_argument("--last", action="store_true", help="go on with the latest conversation")
    parser.add_argument("--no-history", action="store_true", help="keep nothing of this chat on the disk")
    parser.add_argument(
        "--shorten", action="store_true", help="leave out the oldest messages once the chat outgrows the window"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object for each answer")
    add_answer_limits(parser)
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Chat until the user leaves; returns the exit code."""
    from assistant.cli.chat_room import chat

    return chat(options)
