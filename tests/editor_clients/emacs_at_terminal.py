"""Emacs in a terminal: keys go in as a person presses them, and its state is asked for in Lisp."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.editor_clients.driven import Driven
from tests.editor_clients.terminal import PATIENCE, Terminal, until

_SERVER = """
(setq inhibit-startup-screen t make-backup-files nil auto-save-default nil create-lockfiles nil
      server-socket-dir "FOLDER" server-name "emacs" server-client-instructions nil)
(require 'server) (require 'json)
(server-start)
"""


class Emacs(Driven):
    """A running Emacs that read `init` (Lisp) and nothing of the user's."""

    def __init__(self, program: Path, folder: Path, environment: Mapping[str, str], init: str, *arguments: str) -> None:
        self._client, self._socket = program.with_name("emacsclient"), folder / "emacs"
        self.version = version_of(program)
        (folder / "init.el").write_text(_SERVER.replace("FOLDER", str(folder)) + init)
        command = (program, "-nw", "-Q", "-l", folder / "init.el", *arguments)
        super().__init__(Terminal(command, folder, environment))

    def request(self, expression: str) -> Sequence[str | Path]:
        return (self._client, "-s", self._socket, "--eval", expression)

    def lisp(self, form: str) -> Any:
        """The value of a form in the buffer that is seen, by way of JSON."""
        done = self.ask(f"(with-current-buffer (window-buffer (selected-window)) (json-encode {form}))")
        assert done.returncode == 0, f"{done.stderr}{done.stdout}\n{self.terminal.screen()}"
        return json.loads(re.sub(r"\\(.)", r"\1", done.stdout.strip()[1:-1], flags=re.DOTALL))

    def until(self, form: str, seconds: float = PATIENCE) -> Any:
        """The first value of the form that is true."""
        try:
            return until(lambda: self.lisp(form), seconds, form)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.terminal.screen()}\n{self.lisp(_MESSAGES)}") from None

    def text(self) -> str:
        """The text of the buffer that is seen."""
        return self.lisp("(buffer-substring-no-properties (point-min) (point-max))")

    def command(self, name: str) -> None:
        """Type `M-x name`."""
        self.terminal.press("M-x")
        self.terminal.type(name)
        self.terminal.press("Enter")


def version_of(program: Path) -> str:
    """The version of this Emacs."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return said.splitlines()[0].split()[-1]


_MESSAGES = '(with-current-buffer "*Messages*" (buffer-string))'
