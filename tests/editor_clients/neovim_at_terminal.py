"""Neovim in a terminal: keys go in as a person presses them, and its state is asked for in Lua."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.editor_clients.driven import Driven
from tests.editor_clients.terminal import PATIENCE, Terminal, until


class Neovim(Driven):
    """A running Neovim that read `init` (Lua) and nothing of the user's."""

    def __init__(self, program: Path, folder: Path, environment: Mapping[str, str], init: str, *arguments: str) -> None:
        self._program, self._socket = program, folder / "nvim"
        self.version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()[1][1:]
        (folder / "init.lua").write_text(init)
        command = (program, "--clean", "-u", folder / "init.lua", "--listen", self._socket, *arguments)
        super().__init__(Terminal(command, folder, environment))

    def request(self, expression: str) -> Sequence[str | Path]:
        return (self._program, "--server", self._socket, "--remote-expr", expression)

    def lua(self, chunk: str) -> Any:
        """What a chunk of Lua returns, by way of JSON; None for nil."""
        code = json.dumps(f"return vim.json.encode({{(function() {chunk} end)()}})", ensure_ascii=False)
        done = self.ask(f"luaeval('loadstring(_A)()', {code})")
        assert done.returncode == 0, f"{done.stderr}\n{self.terminal.screen()}"
        return next(iter(json.loads(done.stdout)), None)

    def until(self, chunk: str, seconds: float = PATIENCE) -> Any:
        """The first true value that the chunk returns."""
        try:
            return until(lambda: self.lua(chunk), seconds, chunk)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.terminal.screen()}\n{self.lua(_MESSAGES)}") from None

    def text(self) -> str:
        """The text of the current buffer."""
        return self.lua('return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\\n")') + "\n"

    def command(self, line: str) -> None:
        """Type a command line and run it."""
        self.terminal.type(f":{line}")
        self.terminal.press("Enter")


_MESSAGES = "return vim.api.nvim_exec2('messages', {output = true}).output"
