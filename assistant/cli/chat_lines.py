"""Reading what is said: with line editing and a memory of earlier lines at a terminal, line by line from a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.errors import StorageError

if TYPE_CHECKING:
    from assistant.cli.chat_room import Room

KEPT_LINES = 1000
_PROMPT, _MORE = "> ", "… "
_QUOTES = '"""'


def prepare(*, keeps: bool) -> None:
    """Make line editing ready; with `keeps` earlier lines are at hand, and new ones are kept for the next time."""
    try:
        import readline
    except ImportError:  # Windows: plain lines
        return
    from assistant.cli.chat_commands import completions

    readline.set_auto_history(False)
    readline.parse_and_bind("set enable-bracketed-paste on")  # pasted lines stay together
    readline.parse_and_bind("tab: complete")
    readline.set_completer_delims(" \t\n")
    readline.set_completer(lambda text, state: _nth(completions(readline.get_line_buffer(), text), state))
    if keeps:
        with suppress(OSError, StorageError):
            readline.read_history_file(_lines_file())


def typed(room: Room) -> Iterator[str]:
    """What the user types, until Ctrl-D; Ctrl-C empties the line.

    A line that ends with a backslash goes on in the next, and so does everything after `\"\"\"` until another one.
    """
    interrupted = False
    while room.left is None:
        try:
            text = _paragraph(room)
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print("\n(Ctrl-D or /quit leaves.)" if interrupted else "")
            interrupted = True
            continue
        interrupted = False
        if text.strip():
            _remember(text, keeps=room.keeps)
            yield text


def piped() -> Iterator[str]:
    """The lines of standard input that say something; bytes that are no UTF-8 are shown as such."""
    try:
        for raw in sys.stdin.buffer:
            line = raw.decode("utf-8", errors="replace").strip()
            if line:
                yield line
    except OSError:  # open for writing only
        return


def _paragraph(room: Room) -> str:
    draft, room.draft = room.draft, ""
    line = _line(_bold(_PROMPT), draft)
    if line.lstrip().startswith(_QUOTES):
        return _quoted(line.lstrip().removeprefix(_QUOTES))
    lines = [line]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(_line(_MORE))
    return "\n".join(lines)


def _bold(prompt: str) -> str:
    """The prompt in bold, where the terminal can; the bytes 1 and 2 tell readline what takes no place in the line."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb" or "readline" not in sys.modules
    return prompt if plain else f"\001\033[1m\002{prompt}\001\033[0m\002"


def _quoted(first: str) -> str:
    lines = [first]
    while not lines[-1].rstrip().endswith(_QUOTES):
        lines.append(_line(_MORE))
    lines[-1] = lines[-1].rstrip().removesuffix(_QUOTES)
    return "\n".join(lines).strip("\n")


def _line(prompt: str, draft: str = "") -> str:
    """One line; what could be no UTF-8 comes as halves of characters, which chatting shows as such."""
    if draft:
        with suppress(ImportError):
            import readline

            readline.set_startup_hook(lambda: readline.insert_text(draft))
    try:
        return input(prompt)
    except OSError as error:  # the terminal is gone
        raise EOFError from error
    finally:
        if draft:
            with suppress(ImportError):
                import readline

                readline.set_startup_hook(None)


def _remember(text: str, *, keeps: bool) -> None:
    with suppress(ImportError, OSError, StorageError, UnicodeError):
        import readline

        if readline.get_current_history_length() and readline.get_history_item(readline.get_current_history_length()) == text:
            return
        readline.add_history(text)
        if keeps:
            path = _lines_file()
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            readline.append_history_file(1, path)
            if path.stat().st_size > KEPT_LINES * 2000:
                readline.set_history_length(KEPT_LINES)
                readline.write_history_file(path)
                path.chmod(0o600)


def _lines_file() -> Path:
    from assistant.history.database import history_folder
    from assistant.settings import private_folder

    return private_folder(history_folder()) / "lines"


def _nth(found: list[str], place: int) -> str | None:
    return found[place] if place < len(found) else None
