"""`assistant-server`: the language server, on standard input and output, a socket, TCP or WebSocket."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from assistant import __version__
from assistant.errors import AssistantError


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the editor says goodbye or is gone; returns 0 where it said `shutdown` before, else 1."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=options.log, format="starchat: %(levelname)s %(message)s")
    for name in ("pygls", "websockets"):  # they log whole messages, and so the user's text
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        code = _serve(options)
    except AssistantError as error:
        print(f"assistant-server: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        code = 130
    sys.stderr.flush()
    os._exit(code)  # a download in another thread must not keep the process from ending


def _serve(options: argparse.Namespace) -> int:
    if options.socket is None and options.tcp is None and options.ws is None:
        from server.transport import serve_stdio

        if sys.stdin is not None and sys.stdin.isatty():
            print(
                "assistant-server: waiting for an editor to speak LSP here; Ctrl-C ends it, --help says more", file=sys.stderr
            )
        return serve_stdio()
    from server import sockets

    if options.socket is not None:
        return sockets.serve_socket(options.socket)
    scheme: Literal["tcp", "ws"] = "tcp" if options.ws is None else "ws"
    where = sockets.address(scheme, options.tcp or options.ws or (sockets.TCP if scheme == "tcp" else sockets.WEBSOCKET))
    return sockets.serve_address(where, options.origin)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="assistant-server", description="The assistant for editors, over the LSP.")
    parser.add_argument("--version", action="version", version=f"assistant-server {__version__}")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--stdio", action="store_true", help="serve on standard input and output, which is the default")
    place.add_argument("--socket", type=Path, metavar="PATH", help="serve many editors at a Unix socket")
    place.add_argument(
        "--tcp", nargs="?", const="", metavar="HOST:PORT", help="serve editors that know the token over TCP (127.0.0.1:8474)"
    )
    place.add_argument(
        "--ws",
        nargs="?",
        const="",
        metavar="HOST:PORT",
        help="serve editors that know the token over WebSocket (127.0.0.1:8475)",
    )
    parser.add_argument(
        "--origin", action="append", default=[], metavar="URL", help="with --ws: a web page that may connect, repeatable"
    )
    parser.add_argument(
        "--log", default="WARNING", choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="what goes to standard error"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
