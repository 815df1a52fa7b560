"""`assistant`: the commands of the shell.  Each module of this package is one command, or what several of them share."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path

from assistant import __version__
from assistant.cli.terminal import printable
from assistant.errors import AssistantError, Cancelled, StorageError

_COMMANDS = (
    "ask",
    "chat",
    "fix",
    "verbs",
    "plot",
    "commit",
    "history",
    "models",
    "hosts",
    "serve",
    "doctor",
    "housekeeping",
    "completion",
)

_EXIT_CODES = """\
exit codes:
  0 done   2 wrong usage   3 unusable file, range or text   4 broken settings   5 model unknown, unsafe or too large
  6 download failed   7 disk or permission   8 model host failed   9 no safe edit   10 no sandbox here   130 stopped by the user
  1 a bug of ours
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see `assistant.errors`)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    _prepare_streams()
    try:
        parser = _parser()
        if "_ARGCOMPLETE" in os.environ:  # the shell asks what may come next
            import_module("assistant.cli.completion").answer_the_shell(parser)
        options = parser.parse_args(given)
        if options.verb in options.shadowed:
            print(f"assistant: {printable(options.shadowed[options.verb])}", file=sys.stderr)
        code: int = options.run(options)
        sys.stdout.flush()
    except AssistantError as error:
        return _report(error, debug=debug)
    except KeyboardInterrupt:
        return _report(Cancelled("Stopped."), debug=debug)
    except BrokenPipeError:
        return _reader_left()
    except Exception as error:  # the last net: a bug of ours is one line, too
        return _report(_bug(error), debug=debug)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="assistant",
        description="A coding assistant that runs on your own machine.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"assistant {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where an error came from")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="verb")
    for name in _COMMANDS:
        import_module(f"assistant.cli.{name}").register(commands)
    parser.set_defaults(shadowed=import_module("assistant.cli.verbs").register_own(commands))
    return parser


def _report(error: AssistantError, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    line = " ".join(str(error).splitlines())  # file names may hold line ends, and what a terminal would obey
    print(f"assistant: {printable(line)}", file=sys.stderr)
    return error.exit_code


def _prepare_streams() -> None:
    """A stream that was closed beforehand is an empty one; a character that the output cannot hold is spelt out."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - it stays open to the end
        elif mode == "w" and isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _bug(error: Exception) -> AssistantError:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        wrapped: AssistantError = StorageError("The disk is full.", "Free some space and try again.")
    else:
        wrapped = AssistantError(
            f"Something went wrong that should not have: {type(error).__name__}: {error}.",
            "Please report it with the output of the same command and --debug.",
        )
    wrapped.__cause__ = error
    return wrapped


def _reader_left() -> int:
    # Whoever read our output has gone (`assistant … | head`); Python would complain once more when it closes stdout.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
