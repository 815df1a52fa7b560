"""A terminal in which an editor runs as it does for a person: keys go in, a screen comes out."""

from __future__ import annotations

import io
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.text import Text

T = TypeVar("T")

PATIENCE = 90.0
"""Seconds that anything may take on a machine that is busy with other work."""


class Terminal:
    """One program in a `tmux` of its own.  `folder` must have a short path: a socket lies in it."""

    def __init__(
        self, command: Sequence[str | Path], folder: Path, environment: Mapping[str, str], size: tuple[int, int] = (100, 30)
    ) -> None:
        self._tmux = ("tmux", "-S", str(folder / "tmux"), "-f", str(folder / "tmux.conf"))
        settings = ("default-terminal tmux-256color", "escape-time 0", "remain-on-exit on", "status off")
        (folder / "tmux.conf").write_text("".join(f"set -g {setting}\n" for setting in settings))
        self._columns = size[0]
        columns, rows = map(str, size)
        # The server of this tmux is started here, so the program gets exactly this environment.
        start = (*self._tmux, "new-session", "-d", "-x", columns, "-y", rows, "-c", str(folder), *map(str, command))
        subprocess.run(start, env=dict(environment), check=True, timeout=PATIENCE)

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names for them: `Escape`, `C-c`, `Enter`, `x`."""
        self._do("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type text as it is."""
        self._do("send-keys", "-l", "--", text)

    def screen(self, colours: bool = False) -> str:
        """What is to be seen; with `colours`, with the terminal's control sequences."""
        return self._do("capture-pane", "-p", *(("-e",) if colours else ()))

    def picture(self, path: Path, title: str) -> None:
        """Write what is to be seen as an SVG."""
        console = Console(record=True, width=self._columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
        console.print(Text.from_ansi(self.screen(colours=True)), end="")
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn = re.sub(
            r"@font-face \{.*?\}", "", console.export_svg(title=title), flags=re.DOTALL
        )  # nothing is fetched to show it
        path.write_text(drawn, encoding="utf-8")

    def shows(self, text: str, seconds: float = PATIENCE) -> None:
        """Wait until this is to be seen."""
        try:
            until(lambda: text in self.screen(), seconds, f"{text!r} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen()}") from None

    def close(self) -> None:
        """End the program, and whatever it left in the terminal."""
        subprocess.run((*self._tmux, "kill-server"), capture_output=True, timeout=PATIENCE)

    def _do(self, *words: str) -> str:
        done = subprocess.run((*self._tmux, *words), capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        return done.stdout


def until(value: Callable[[], T], seconds: float = PATIENCE, what: str = "") -> T:
    """The first value that is true; asks again and again, and fails when none is in time."""
    end = time.monotonic() + seconds
    while not (found := value()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what or value}"
        time.sleep(0.05)
    return found
