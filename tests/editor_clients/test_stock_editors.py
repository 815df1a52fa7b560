"""Editors with nothing but their own LSP client, set up as our pages say: a code action, and undo."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.editor_clients.emacs_at_terminal import Emacs
from tests.editor_clients.golden_paths import STOCK
from tests.editor_clients.neovim_at_terminal import Neovim
from tests.editor_clients.processes import server_process
from tests.editor_clients.terminal import Terminal, until
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


def number_of(title: str, menu: str) -> str:
    """The number in front of an action in a menu on the screen."""
    found = re.search(rf"(\d+)[:)] StarChat: {title}", menu)
    assert found, menu
    return found[1]


def test_neovims_own_client_runs_a_code_action(stock_neovim: Neovim, seen: Callable[..., None], file: Path) -> None:
    with seen(STOCK, "Neovim", stock_neovim.version):
        stock_neovim.until("local c = vim.lsp.get_clients({name = 'starchat'})[1] return c and c.initialized")
        stock_neovim.press("7", "G", "g", "r", "a")  # Neovim's own key for code actions
        stock_neovim.terminal.shows("StarChat: Fix a bug")
        stock_neovim.terminal.type(number_of("Fix a bug", stock_neovim.terminal.screen()))
        stock_neovim.press("Enter")
        stock_neovim.until(f"return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\\n') == [[{FIXED.rstrip()}]]")
        stock_neovim.press("u")
        assert stock_neovim.text() == BUGGY


STOCK_EGLOT = """
(require 'package)
(add-to-list 'package-directory-list "/usr/share/emacs/site-lisp/elpa")  ; where Debian has it; Emacs 29 brings it along
(package-initialize)
(require 'eglot)
(add-to-list 'eglot-server-programs '(python-mode . ("assistant-server" :initializationOptions (:starchat (:model "MODEL")))))
(setq eglot-confirm-server-initiated-edits nil)
(add-hook 'python-mode-hook #'eglot-ensure)
"""


@pytest.fixture
def stock_emacs(
    installed: Callable[..., Path], home: Path, environment: dict[str, str], scripted: Callable[..., str], file: Path
) -> Iterator[Emacs]:
    init = STOCK_EGLOT.replace("MODEL", scripted({"reply": REPLY, "prefill_ms": 2000}))
    emacs = Emacs(installed("emacs"), home, environment, init, str(file))
    yield emacs
    emacs.close()


def test_eglots_own_client_runs_a_code_action(stock_emacs: Emacs, seen: Callable[..., None]) -> None:
    with seen(STOCK, "Emacs", stock_emacs.version):
        stock_emacs.until("(and (eglot-managed-p) t)")
        stock_emacs.press("M-g", "g", "7", "Enter")
        stock_emacs.command("eglot-code-actions")
        stock_emacs.terminal.shows("Pick an action")
        stock_emacs.terminal.type("StarChat: Fix a bug")
        stock_emacs.press("Enter")
        quoted = json.dumps(FIXED, ensure_ascii=False)
        stock_emacs.until(f"(equal (buffer-string) {quoted})")
        stock_emacs.press("C-/")
        assert stock_emacs.text() == BUGGY


VIM_WITH_ALE = """
set nocompatible hidden noswapfile encoding=utf-8
let g:ale_linters = {'python': ['starchat']}
let g:ale_linters_explicit = 1
set runtimepath^=/usr/share/vim-ale
filetype plugin on
source /usr/share/vim-ale/plugin/ale.vim
call ale#linter#Define('python', {
\\   'name': 'starchat',
\\   'lsp': 'stdio',
\\   'executable': 'assistant-server',
\\   'command': '%e',
\\   'project_root': {buffer -> expand('#' . buffer . ':p:h')},
\\   'initialization_options': {'starchat': {'model': 'MODEL'}},
\\})
"""


@pytest.fixture
def vim_with_ale(
    installed: Callable[..., Path], home: Path, environment: dict[str, str], scripted: Callable[..., str], file: Path
) -> Iterator[Terminal]:
    (home / "vimrc").write_text(VIM_WITH_ALE.replace("MODEL", scripted({"reply": REPLY})))
    vim = Terminal((installed("vim"), "-N", "-u", home / "vimrc", str(file)), home, environment)
    yield vim
    vim.close()


def test_vim_with_ale_runs_a_code_action(
    vim_with_ale: Terminal, seen: Callable[..., None], installed: Callable[..., Path], home: Path, file: Path
) -> None:
    version = subprocess.run([installed("vim"), "--version"], capture_output=True, text=True, check=True).stdout.split()[4]
    with seen(STOCK, "Vim with ALE", version):
        vim_with_ale.shows("return gcd(a % b, b)")
        until(lambda: server_process(home))
        vim_with_ale.type(":7\n")
        until(lambda: offers(vim_with_ale))
        vim_with_ale.type(number_of("Fix a bug", vim_with_ale.screen()))
        vim_with_ale.press("Enter")
        vim_with_ale.shows("return gcd(b, a % b)")
        vim_with_ale.press("Escape")
        vim_with_ale.type(":w\n")
        until(lambda: file.read_bytes() == FIXED.encode())


def offers(vim: Terminal) -> bool:
    """Ask ALE for code actions, which it has none of until its server has answered."""
    vim.press("Escape")
    vim.type(":ALECodeAction\n")
    with suppress(AssertionError):
        vim.shows("StarChat: Fix a bug", 3)
        return True
    return False
