"""What a person sees: Markdown on a terminal, plain text when piped, signs of life on standard error."""

from __future__ import annotations

import sys
import unicodedata
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown
from rich.status import Status
from rich.syntax import Syntax
from rich.text import Text


class Printer(Protocol):
    """Shows an answer while it arrives."""

    def write(self, text: str) -> None: ...

    def close(self) -> None: ...


def answer_printer(*, stream: bool) -> Printer:
    """The printer that fits standard output: Markdown on a terminal, the bare text otherwise."""
    if sys.stdout.isatty():
        return MarkdownPrinter(Console(), stream=stream)
    return PlainPrinter(stream=stream)


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


class MarkdownPrinter:
    """Prints each block once it is whole; the block under way is shown below it, as plain text."""

    def __init__(self, console: Console, *, stream: bool) -> None:
        self._console = console
        self._pending = ""
        self._live = Live(console=console, refresh_per_second=12, transient=True) if stream else None
        if self._live is not None:
            self._live.start()

    def write(self, text: str) -> None:
        self._pending += printable(text)
        whole, self._pending = split_blocks(self._pending)
        if whole:
            self._console.print(Markdown(whole))
            self._console.print()
        if self._live is not None:
            self._live.update(self._tail())

    def close(self) -> None:
        if self._live is not None:
            self._live.update("")
            self._live.stop()
        if self._pending.strip():
            self._console.print(Markdown(self._pending))

    def _tail(self) -> Text:
        lines = self._pending.split("\n")
        return Text("\n".join(lines[-max(1, self._console.height - 2) :]), overflow="fold")


def split_blocks(text: str) -> tuple[str, str]:
    """`text` cut after its last blank line outside any fenced block: what is whole, and the rest."""
    fence = ""
    cut = position = 0
    for line in text.split("\n")[:-1]:
        position += len(line) + 1
        mark = line.strip()
        if fence:
            fence = "" if mark.startswith(fence) and not mark.strip(fence[0]) else fence
            cut = cut if fence else position
        elif mark.startswith(("```", "~~~")):
            fence = mark[: len(mark) - len(mark.lstrip(mark[0]))]
        elif not mark:
            cut = position
    return text[:cut].strip("\n"), text[cut:]


def printable(text: str) -> str:
    """`text` without control characters, which a terminal would obey; tabs and line ends stay."""
    return "".join(char if char in "\n\t" or unicodedata.category(char) != "Cc" else "\ufffd" for char in text)


class Progress:
    """One changing line on standard error while the user waits; silent where that is not a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._status: Status | None = None

    def show(self, text: str) -> None:
        """Replace the line."""
        if not self._console.is_terminal:
            return
        if self._status is None:
            self._status = self._console.status(text, spinner="dots")
            self._status.start()
        else:
            self._status.update(text)

    def clear(self) -> None:
        """Take the line away, before anything else is printed."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def note(self, text: str) -> None:
        """A lasting line beside the answer, such as why there was a second try."""
        self.clear()
        self._console.print(Text(printable(text), style="dim"), soft_wrap=True)


def print_diff(diff: str) -> None:
    """A unified diff: coloured on a terminal, byte for byte as `patch` wants it when piped."""
    if sys.stdout.isatty():
        Console().print(Syntax(printable(diff), "diff", background_color="default", word_wrap=True))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(diff.encode())
        sys.stdout.buffer.flush()


def confirm(question: str, *, default: bool) -> bool:
    """Ask on the terminal; an end of input counts as no."""
    choices = "[Y/n]" if default else "[y/N]"
    try:
        answer = input(f"{question} {choices} ").strip().lower()
    except EOFError:
        return False
    return answer.startswith("y") if answer else default
