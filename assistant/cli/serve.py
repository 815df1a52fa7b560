"""`assistant serve`: let other programs use the running model, over the OpenAI API."""

from __future__ import annotations

import argparse
from pathlib import Path

from assistant.cli.options import add_model_options

PORT = 8137


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("serve", help="serve the model to other programs (OpenAI API)", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (127.0.0.1: this machine alone)")
    parser.add_argument("--port", type=_port, default=PORT, help=f"port to listen at ({PORT}); 0 takes a free one")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="tokens, one a line, that open the door; made with a new token where it is missing",
    )
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C; returns the exit code."""
    from assistant.cli.serving import serve

    return serve(options)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)
