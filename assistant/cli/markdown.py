"""An answer as Markdown on a terminal, while it streams."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown
from rich.text import Text

from assistant.cli.terminal import printable


class MarkdownPrinter:
    """Prints each block once it is whole; the block under way is shown below it, as plain text."""

    def __init__(self, *, stream: bool) -> None:
        self._console = Console()
        self._pending = ""
        self._live = Live(console=self._console, refresh_per_second=12, transient=True) if stream else None
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
