"""What tests do with any editor in a terminal: press its keys, ask it something from outside, end it."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from tests.editor_clients.terminal import PATIENCE, Terminal, until


class Driven(ABC):
    """An editor that runs in `terminal`."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        until(self._answers, what="the editor answers")

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        self.terminal.press(*keys)

    def close(self) -> None:
        """End it."""
        self.terminal.close()

    @abstractmethod
    def request(self, expression: str) -> Sequence[str | Path]:
        """The command that has the running editor evaluate `expression` and prints its value."""

    def ask(self, expression: str) -> subprocess.CompletedProcess[str]:
        """Run that command."""
        try:
            return subprocess.run(
                self.request(expression), capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:  # it waits for a key: look at the screen instead
            raise AssertionError(f"The editor is busy, or asks something:\n{self.terminal.screen()}") from None

    def _answers(self) -> bool:
        done = self.ask("1")
        return done.returncode == 0 and done.stdout.strip() == "1"
