"""The golden paths in Neovim, as keys and commands that a person types."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.editor_clients import golden_paths as golden
from tests.editor_clients.conftest import BENCH, CLIENTS, REAL_MODEL
from tests.editor_clients.neovim_at_terminal import Neovim
from tests.editor_clients.processes import server_process
from tests.editor_clients.terminal import until
from tests.real_fix import SUMS, check_fix
from tests.server.buffer import BUGGY, FIXED, REPLY, engine_is_idle

Seen = Callable[..., AbstractContextManager[None]]

INIT = f"""
vim.opt.runtimepath:prepend("{CLIENTS / "neovim"}")
vim.o.statusline = "%f %= %{{v:lua.require'starchat'.statusline()}}"
vim.o.swapfile = false
require("starchat").setup({{ settings = {{ model = "MODEL" }}, keys = {{ accept = "<C-y>" }} }})
"""
OUTCOME = "outcome = nil; require('starchat').run('fix', {done = function(o) outcome = o end})"
NUMBERS = " ".join(map(str, range(500)))


@pytest.fixture
def neovim(installed: Callable[..., Path], home: Path, environment: dict[str, str]) -> Iterator[Callable[..., Neovim]]:
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


def statusline(editor: Neovim) -> str:
    return editor.lua("return require('starchat').statusline()")


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
        editor.terminal.picture(BENCH / "neovim.svg", "Neovim")
        editor.press("Escape")
        editor.command("bwipeout")
        editor.command("Starchat chats")
        editor.terminal.shows("1: What is it?")
        editor.press("1", "Enter")
        again = somewhere(editor, "The *step*.\n\n## You")
        assert again.replace("## You", "").split() == whole.replace("## You (numbers.py:5-8)", "").replace("## You", "").split()
        assert whole.count("## You") == 3
        assert whole.startswith("## You (numbers.py:5-8)\n\nWhat is it?")


def test_code_is_explained_in_a_buffer_that_grows(
    neovim: Callable[..., Neovim], scripted: Callable[..., str], seen: Seen
) -> None:
    editor = neovim(scripted({"match": "Explain the code", "reply": f"**Euclid** {NUMBERS}", "delay_ms": 4}, {"reply": "no"}))
    with seen(golden.EXPLAIN, "Neovim", editor.version):
        editor.command("4,7Starchat explain")
        assert "499" not in somewhere(editor, "**Euclid** 0 1 2")
        assert somewhere(editor, "498 499") == f"**Euclid** {NUMBERS}"
        assert editor.text() == BUGGY  # the cursor stayed in the file
        assert editor.lua("return #vim.api.nvim_list_wins()") == 2


def test_an_instruction_edits_and_one_undo_restores_the_bytes(
    neovim: Callable[..., Neovim], scripted: Callable[..., str], seen: Seen, home: Path
) -> None:
    renamed = "def gcd(x, y):\n    if y == 0:\n        return x\n    return gcd(y, x % y)\n"
    editor = neovim(scripted({"match": "Instruction: call them x and y", "reply": f"{renamed}```\n"}, {"reply": "no"}))
    with seen(golden.EDIT_AND_UNDO, "Neovim", editor.version):
        editor.command("4,7Starchat edit")
        editor.terminal.shows("Change:")
        editor.terminal.type("call them x and y")
        editor.press("Enter")
        holds(editor, BUGGY.split("def gcd")[0] + renamed)
        editor.press("u")
        holds(editor, BUGGY)
        editor.command("write")
        until(lambda: (home / "work" / "numbers.py").read_bytes() == BUGGY.encode())


def test_work_is_stopped(neovim: Callable[..., Neovim], scripted: Callable[..., str], seen: Seen, home: Path) -> None:
    editor = neovim(scripted({"reply": NUMBERS * 5, "delay_ms": 20}))
    with seen(golden.CANCEL, "Neovim", editor.version):
        editor.command("4,7Starchat explain")
        somewhere(editor, "0 1 2")
        editor.command("Starchat cancel")
        until(lambda: engine_is_idle(home))
        editor.command("Starchat chat Go on")
        somewhere(editor, "## StarChat\n\n0 1 2")
        editor.press("C-c")
        assert "*Stopped.*" in somewhere(editor, "*Stopped.*\n\n## You")
        until(lambda: engine_is_idle(home))
        assert statusline(editor) == "StarChat: scripted"


def test_typing_goes_on_while_the_model_writes(neovim: Callable[..., Neovim], scripted: Callable[..., str], seen: Seen) -> None:
    editor = neovim(scripted({"match": "fim_middle", "reply": ""}, {"reply": REPLY, "prefill_ms": 8000}))
    with seen(golden.TYPING, "Neovim", editor.version):
        editor.command("4,7Starchat fix")
        editor.terminal.shows("Fix a bug: ")
        editor.press("g", "g", "O")
        editor.terminal.type("# typed meanwhile")
        holds(editor, "# typed meanwhile\n" + BUGGY)
        holds(editor, "# typed meanwhile\n" + FIXED)
        editor.terminal.type(", and after")
        holds(editor, "# typed meanwhile, and after\n" + FIXED)


def test_a_killed_server_comes_back(
    neovim: Callable[..., Neovim], scripted: Callable[..., str], seen: Seen, home: Path
) -> None:
    editor = neovim(scripted({"reply": REPLY}))
    with seen(golden.RESTART, "Neovim", editor.version):
        editor.until("return require('starchat.client').is_settled(vim.lsp.get_clients({name = 'starchat'})[1].id)")
        before = until(lambda: server_process(home))
        os.kill(before, signal.SIGKILL)
        editor.terminal.shows("signal 9")
        editor.press("Enter")
        until(lambda: server_process(home) not in (0, before))
        editor.press("7", "G")
        editor.command("Starchat fix")
        holds(editor, FIXED)


def test_a_model_that_is_still_loading_is_waited_for(
    neovim: Callable[..., Neovim], scripted: Callable[..., str], seen: Seen
) -> None:
    editor = neovim(scripted({"reply": REPLY}, load_ms=12000))
    with seen(golden.LOADING, "Neovim", editor.version):
        editor.press("7", "G")
        editor.command("Starchat fix")
        editor.terminal.shows("loading the model")
        editor.until("return require('starchat').statusline():find('%d%%') ~= nil")
        editor.press("j")  # nothing is blocked
        holds(editor, FIXED)


def test_ghost_text_is_shown_and_accepted(neovim: Callable[..., Neovim], scripted: Callable[..., str], seen: Seen) -> None:
    editor = neovim(scripted({"match": "fim_middle", "reply": " gcd(a, b)"}, {"reply": "no"}))
    with seen(golden.GHOST, "Neovim", editor.version):
        editor.until("return require('starchat.status').model().state == 'ready'")
        editor.press("G", "o")
        editor.terminal.type("value =")
        editor.until("return require('starchat.ghost').text() == ' gcd(a, b)'")
        editor.terminal.shows("value = gcd(a, b)")
        assert editor.text() == BUGGY + "value =\n"
        editor.press("C-]")
        editor.until("return require('starchat.ghost').text() == nil")
        editor.press("BSpace")
        editor.terminal.type("=")
        editor.until("return require('starchat.ghost').text() == ' gcd(a, b)'")
        editor.press("C-y")
        holds(editor, BUGGY + "value = gcd(a, b)\n")


def test_code_is_translated_to_a_new_file(
    neovim: Callable[..., Neovim], scripted: Callable[..., str], seen: Seen, home: Path
) -> None:
    go = "package numbers\n\nfunc Gcd(a, b int) int {\n\tif b == 0 {\n\t\treturn a\n\t}\n\treturn Gcd(b, a%b)\n}\n"
    editor = neovim(scripted({"match": "Go", "reply": f"```go\n{go}```\n"}, {"reply": "no"}))
    with seen(golden.TRANSLATE, "Neovim", editor.version):
        editor.command("%Starchat translate Go")
        made = editor.until("""
            for _, b in ipairs(vim.api.nvim_list_bufs()) do
              local all = table.concat(vim.api.nvim_buf_get_lines(b, 0, -1, false), "\\n")
              if vim.api.nvim_buf_get_name(b):find("%.go$") and all:find("Gcd") then return vim.api.nvim_buf_get_name(b) end
            end""")
        assert Path(made).parent == home / "work"
        editor.command("buffer numbers.py")
        holds(editor, BUGGY)


def test_an_edit_is_looked_at_before_it_is_made(neovim: Callable[..., Neovim], scripted: Callable[..., str]) -> None:
    editor = neovim(scripted({"reply": REPLY}))
    editor.lua("require('starchat').options.confirm = true")
    editor.press("7", "G")
    for answer in ("n", "y"):
        editor.command("Starchat fix")
        editor.terminal.shows("+    return gcd(b, a % b)")
        editor.terminal.shows("make this change?")
        editor.terminal.picture(BENCH / "neovim-confirm.svg", "Neovim")
        editor.press(answer)
        editor.terminal.shows("You left the text as it was" if answer == "n" else "Applied")
        if "Press ENTER" in editor.terminal.screen():
            editor.press("Enter")  # it is a long message
        holds(editor, BUGGY if answer == "n" else FIXED)


def test_it_says_where_text_goes(neovim: Callable[..., Neovim], scripted: Callable[..., str]) -> None:
    editor = neovim(scripted({"reply": "no"}))
    editor.lua("require('starchat.status').on_status({state = 'ready', model = 'm', remote = 'api.example.com'})")
    editor.terminal.shows("StarChat: m at api.example.com")
    editor.lua("require('starchat.status').on_status({state = 'loading', model = 'm', progress = 0.4})")
    editor.terminal.shows("StarChat: loading 40%")


def test_a_real_model_fixes_a_bug(neovim: Callable[..., Neovim], real_model: str, seen: Seen, home: Path) -> None:
    editor = neovim(real_model, text=SUMS)
    with seen(golden.FIX, "Neovim", editor.version, REAL_MODEL):
        editor.press("8", "G")
        editor.lua(OUTCOME)
        outcome = editor.until("return outcome", 240)
        check_fix(outcome["outcome"], editor.text())


def test_commands_are_completed_help_is_found_and_health_is_told(
    neovim: Callable[..., Neovim], scripted: Callable[..., str], home: Path, seen: Seen
) -> None:
    editor = neovim(scripted({"reply": "ok"}))
    with seen(golden.INSTALL, "Neovim", editor.version):
        names = editor.lua("return vim.fn.getcompletion('Starchat ', 'cmdline')")
        assert {"fix", "edit", "explain", "translate", "chat", "cancel", "undo"} <= set(names)
        assert editor.lua("return vim.fn.getcompletion('Starchat re', 'cmdline')") == ["restart", "retry", "review"]
        help_page = shutil.copytree(CLIENTS / "neovim" / "doc", home / "help" / "doc")
        editor.lua(f"vim.cmd.helptags([[{help_page}]]) vim.opt.runtimepath:append([[{home / 'help'}]])")
        editor.command("help :Starchat")
        editor.until("return vim.bo.filetype == 'help' and vim.fn.expand('%:t') == 'starchat.txt'")
        editor.command("checkhealth starchat")
        editor.until("return vim.bo.filetype == 'checkhealth' and vim.fn.search('OK assistant-server') > 0")
        assert "ERROR" not in editor.text()
