"""The Lua of the client for Neovim is without a warning of luacheck's."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.editor_clients.conftest import CLIENTS


def test_luacheck_finds_nothing(installed: Callable[..., Path]) -> None:
    command = [installed("luacheck"), "--no-color", "."]
    done = subprocess.run(command, cwd=CLIENTS / "neovim", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
