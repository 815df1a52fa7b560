"""Editors with nothing but their own LSP client, set up as our pages say: a code action, and undo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.editor_clients.golden_paths import STOCK
from tests.editor_clients.neovim_at_terminal import Neovim
from tests.server.buffer import BUGGY, FIXED, REPLY

STOCK_NEOVIM = """
vim.lsp.config("starchat", {
  cmd = { "assistant-server" },
  filetypes = { "python" },
  settings = { starchat = { model = "%s" } },
})
vim.lsp.enable("starchat")
"""


@pytest.fixture
def file(home: Path) -> Path:
    (home / "work").mkdir()
    path = home / "work" / "numbers.py"
    path.write_text(BUGGY, encoding="utf-8")
    return path


@pytest.fixture
def stock_neovim(
    installed: Callable[..., Path], home: Path, environment: dict[str, str], scripted: Callable[..., str], file: Path
) -> Iterator[Neovim]:
    neovim = Neovim(installed("nvim"), home, environment, STOCK_NEOVIM % scripted({"reply": REPLY}), str(file))
    yield neovim
    neovim.close()


def test_neovims_own_client_runs_a_code_action(stock_neovim: Neovim, seen: Callable[..., None], file: Path) -> None:
    with seen(STOCK, "Neovim", stock_neovim.version):
        stock_neovim.until("local c = vim.lsp.get_clients({name = 'starchat'})[1] return c and c.initialized")
        stock_neovim.press("7", "G", "g", "r", "a")  # Neovim's own key for code actions
        stock_neovim.terminal.shows("StarChat: Fix a bug")
        stock_neovim.press("1", "Enter")
        stock_neovim.until(f"return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\\n') == [[{FIXED.rstrip()}]]")
        stock_neovim.press("u")
        assert stock_neovim.text() == BUGGY
