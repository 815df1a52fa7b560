"""`assistant-server`: the language server, on standard input and output."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from assistant import __version__
from assistant.errors import AssistantError


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the editor says goodbye or is gone; returns 0 where it said `shutdown` before, else 1."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=options.log, format="starchat: %(levelname)s %(message)s")
    logging.getLogger("pygls").setLevel(logging.CRITICAL + 1)  # it logs whole messages, and so the user's text
    try:
        code = _serve(options.socket)
    except AssistantError as error:
        print(f"assistant-server: {error}", file=sys.stderr)
        return error.exit_code
    sys.stderr.flush()
    os._exit(code)  # a download in another thread must not keep the process from ending


def _serve(socket: Path | None) -> int:
    if socket is not None:
        from server.sockets import serve_socket

        return serve_socket(socket)
    from server.transport import serve_stdio

    return serve_stdio()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="assistant-server", description="The assistant for editors, over the LSP.")
    parser.add_argument("--version", action="version", version=f"assistant-server {__version__}")
    parser.add_argument("--stdio", action="store_true", help="serve on standard input and output, which is the default")
    parser.add_argument("--socket", type=Path, metavar="PATH", help="serve many editors at a Unix socket")
    parser.add_argument(
        "--log", default="WARNING", choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="what goes to standard error"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
