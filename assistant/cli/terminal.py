"""What a person sees: Markdown on a terminal, plain text when piped, signs of life on standard error.

Rich is imported only where a terminal is there to use it, which keeps pipes and editors quick.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.status import Status


class Printer(Protocol):
    """Shows an answer while it arrives."""

    def write(self, text: str) -> None: ...

    def close(self) -> None: ...


def answer_printer(*, stream: bool) -> Printer:
    """The printer that fits standard output: Markdown on a terminal, the bare text otherwise."""
    if not sys.stdout.isatty():
        return PlainPrinter(stream=stream)
    from assistant.cli.markdown import MarkdownPrinter

    return MarkdownPrinter(stream=stream)


class PlainPrinter:
    """The text as it is; with `stream`, as it comes."""

    def __init__(self, *, stream: bool) -> None:
        self._stream = stream
        self._text = ""

    def write(self, text: str) -> None:
        self._text += text
        if self._stream:
            sys.stdout.write(text)
            sys.stdout.flush()

    def close(self) -> None:
        if not self._stream:
            sys.stdout.write(self._text)
        if self._text and not self._text.endswith("\n"):
            sys.stdout.write("\n")
        sys.stdout.flush()


_OBEYED = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that change the direction of text, with which code can be made to look like other code."""


def printable(text: str) -> str:
    """`text` without what a terminal would obey; tabs and line ends stay."""
    return _OBEYED.sub("\ufffd", text.replace("\r\n", "\n"))


def print_text(text: str) -> None:
    """A text that is asked for as such: byte for byte through a pipe, without control characters on a terminal."""
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)


class Progress:
    """One changing line on standard error while the user waits; silent where that is not a terminal."""

    def __init__(self) -> None:
        self._status: Status | None = None

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._status is not None:
            self._status.update(text)
        elif sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True).status(text, spinner="dots")
            self._status.start()

    def clear(self) -> None:
        """Take the line away, before anything else is printed."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def note(self, text: str) -> None:
        """A lasting line beside the answer, such as why there was a second try."""
        self.clear()
        print(printable(text), file=sys.stderr, flush=True)


@contextmanager
def unechoed() -> Iterator[None]:
    """While an answer is printed, what the user types ahead is kept for the next prompt, but not shown in the midst of it."""
    try:
        import termios

        before = termios.tcgetattr(sys.stdin)
    except Exception:  # no terminal, or one of another kind: `termios.error` is no `OSError`, and Windows has no such module
        yield
        return
    changed = [*before]
    changed[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, changed)
        yield
    finally:
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


def print_diff(diff: str) -> None:
    """A unified diff: coloured on a terminal, byte for byte as `patch` wants it when piped."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.syntax import Syntax

        Console().print(Syntax(printable(diff), "diff", background_color="default", word_wrap=True))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(diff.encode(errors="surrogateescape"))  # a file's name need not be UTF-8
    sys.stdout.buffer.flush()


def confirm(question: str, *, default: bool) -> bool:
    """Ask on the terminal; an end of input counts as no."""
    choices = "[Y/n]" if default else "[y/N]"
    answer = prompted(f"{question} {choices} ")
    if answer is None:
        return False
    return answer.startswith("y") if answer else default


def prompted(prompt: str) -> str | None:
    """What a person answers, in small letters; None at the end of input.

    The question goes to standard error where standard output is no terminal, so that it is read and not piped on.
    """
    if not sys.stdout.isatty():
        print(prompt, end="", file=sys.stderr, flush=True)
        prompt = ""
    try:
        return input(prompt).strip().lower()
    except EOFError:
        print(file=sys.stderr)  # nobody pressed Enter to end the line
        return None
