"""The golden paths in Neovim, as keys and commands that a person types."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.editor_clients import golden_paths as golden
from tests.editor_clients.conftest import CLIENTS, REAL_MODEL
from tests.editor_clients.neovim_at_terminal import Neovim
from tests.editor_clients.terminal import until
from tests.server.buffer import BUGGY, FIXED, REPLY, engine_is_idle

Seen = Callable[..., AbstractContextManager[None]]

INIT = f"""
vim.opt.runtimepath:prepend("{CLIENTS / "neovim"}")
vim.o.statusline = "%f %= %{{v:lua.require'starchat'.statusline()}}"
vim.o.swapfile = false
require("starchat").setup({{ settings = {{ model = "MODEL" }}, keys = {{ accept = "<C-y>" }} }})
"""
NUMBERS = " ".join(map(str, range(2000)))


@pytest.fixture
def neovim(
    installed: Callable[..., Path], home: Path, environment: dict[str, str]
) -> Iterator[Callable[..., Neovim]]:
    """`neovim(model, text=…)`: Neovim with the client, and a file open."""
    started: list[Neovim] = []

    def start(model: str, text: str = BUGGY) -> Neovim:
        path = home / "work" / "numbers.py"
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        started.append(Neovim(installed("nvim"), home, environment, INIT.replace("MODEL", model), str(path)))
        started[0].until("local c = vim.lsp.get_clients({name = 'starchat'})[1] return c and c.initialized")
        return started[0]

    yield start
    for each in started:
        each.close()


def server_id(editor: Neovim) -> int | None:
    return editor.lua("local c = vim.lsp.get_clients({name = 'starchat'})[1] return c and c.rpc and c.id")


def holds(editor: Neovim, text: str) -> None:
    """Wait until the current buffer is exactly this."""
    wanted = text.removesuffix("\n")
    editor.until(f"return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\\n') == [[{wanted}]]")


def somewhere(editor: Neovim, text: str) -> str:
    """The text of the buffer that holds `text`, once there is one."""
    return editor.until(f"""
        for _, b in ipairs(vim.api.nvim_list_bufs()) do
          local all = table.concat(vim.api.nvim_buf_get_lines(b, 0, -1, false), "\\n")
          if vim.bo[b].buftype ~= "" and all:find([[{text}]], 1, true) then return all end
        end""")


def problem(editor: Neovim) -> None:
    told = "{lnum = 6, col = 4, message = 'RecursionError in gcd', source = 'pytest'}"
    editor.lua(f"vim.diagnostic.set(vim.api.nvim_create_namespace('test'), 0, {{{told}}})")


def test_a_bug_is_fixed_from_its_diagnostic(neovim: Callable[..., Neovim], scripted: Callable[..., str], seen: Seen) -> None:
    editor = neovim(scripted({"match": "RecursionError in gcd", "reply": REPLY}, {"reply": "no"}))
    with seen(golden.FIX, "Neovim", editor.version):
        problem(editor)
        editor.press("7", "G")
        editor.command("Starchat fix")
        holds(editor, FIXED)
        editor.press("u")
        holds(editor, BUGGY)


def test_chat_of_two_turns_with_a_selection(neovim: Callable[..., Neovim], scripted: Callable[..., str], seen: Seen) -> None:
    first = {"match": "unseen", "reply": "too much"}, {"match": r"It is Euclid's[\s\S]*And the step", "reply": "The *step*."}
    editor = neovim(scripted(*first, {"match": "return gcd", "reply": "It is Euclid's."}), text=f"unseen = 1\n{BUGGY}")
    with seen(golden.CHAT, "Neovim", editor.version):
        editor.command("5,8Starchat chat What is it?")
        somewhere(editor, "It is Euclid's.\n\n## You")
        editor.terminal.type("AAnd the step?")
        editor.press("C-s")
        whole = somewhere(editor, "The *step*.\n\n## You")
        assert whole.count("## You") == 3
        assert whole.startswith("## You (numbers.py:5-8)\n\nWhat is it?")
