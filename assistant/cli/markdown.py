"""An answer as Markdown on a terminal, while it streams."""

from __future__ import annotations

from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import CodeBlock, Markdown, MarkdownElement
from rich.segment import Segment, Segments
from rich.syntax import Syntax
from rich.text import Text

from assistant.cli.terminal import printable


class _Code(CodeBlock):
    """A fenced block without the empty lines that Rich puts around it."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Syntax(str(self.text).rstrip(), self.lexer_name, theme=self.theme, word_wrap=True, padding=(0, 2))


class _Markdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {**Markdown.elements, "fence": _Code, "code_block": _Code}


class MarkdownPrinter:
    """Prints each block once it is whole; the block under way is shown below it, as plain text."""

    def __init__(self, *, stream: bool) -> None:
        self._console = Console()
        self._pending = ""
        self._printed = False
        self._live = Live(console=self._console, refresh_per_second=12, transient=True) if stream else None

    def write(self, text: str) -> None:
        self._pending += printable(text)
        whole, self._pending = split_blocks(self._pending)
        if self._live is not None:
            self._live.start()  # not before there is text: until then another line shows that the model is at work
            self._live.update(self._tail(), refresh=bool(whole))  # before printing, which draws it anew
        self._print(whole)

    def close(self) -> None:
        if self._live is not None:
            self._live.update("", refresh=True)
            self._live.stop()
        self._print(self._pending)

    def _print(self, block: str) -> None:
        if not block.strip():
            return
        if self._printed:
            self._console.print()
        self._console.print(self._rendered(block))
        self._printed = True

    def _rendered(self, block: str) -> Segments:
        """A block without the empty lines that Rich puts before and after lists and tables."""
        lines = self._console.render_lines(_Markdown(block, hyperlinks=False), pad=False, new_lines=True)
        filled = [number for number, line in enumerate(lines) if "".join(segment.text for segment in line).strip()]
        shown = lines[filled[0] : filled[-1] + 1] if filled else []
        # Once more printable: `&#8238;` in Markdown is a character, too.
        return Segments(Segment(printable(each.text), each.style, each.control) for line in shown for each in line)

    def _tail(self) -> Text:
        lines = self._pending.rstrip("\n").split("\n")
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
