"""The golden paths in a real VS Code with the packaged client: asserted in its extension host, walked through its interface."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tests.editor_clients import golden_paths as paths
from tests.editor_clients import vscode_driver
from tests.editor_clients.conftest import REAL_MODEL
from tests.editor_clients.vscode_driver import VERSION, Workbench, until
from tests.editor_clients.vscode_window import ADD, FIXED, STATS, STATUS

Seen = Callable[..., AbstractContextManager[None]]


def test_fix_from_a_diagnostic(vscode: Workbench, seen: Seen, screens: Path) -> None:
    with seen(paths.FIX, "VS Code", VERSION):
        vscode.open("stats.py", STATS, line=5)
        vscode.diagnose("stats.py", line=5, message="total is wrong", source="pytest")
        vscode.page("await page.waitForSelector('.squiggly-error')")
        vscode.page("await verbs.lightbulb('StarChat: Fix a bug')")
        vscode.shot(screens / "vscode-lightbulb.png")
        vscode.page("await verbs.choose('StarChat: Fix a bug')")
        vscode.wait_for_text("stats.py", FIXED)


def test_explain_is_shown_rendered_beside_the_code(vscode: Workbench, seen: Seen, screens: Path) -> None:
    with seen(paths.EXPLAIN, "VS Code", VERSION):
        vscode.open("stats.py", STATS, line=4, to=6)
        vscode.palette("StarChat: Explain")
        vscode.page("await (await verbs.frameWith('.markdown-body strong, .vscode-body strong')).getByText('away').waitFor()")
        vscode.shot(screens / "vscode-explain.png")
        assert vscode.text("stats.py") == STATS


def test_translate_to_a_new_file(vscode: Workbench, seen: Seen) -> None:
    with seen(paths.TRANSLATE, "VS Code", VERSION):
        vscode.open("stats.py", STATS, line=4, to=6)
        vscode.palette("StarChat: Translate to Another Language")
        vscode.page("await page.locator('.quick-input-list .monaco-list-row', { hasText: 'JavaScript' }).click()")
        until(lambda: "function add" in vscode.text_of_active(), 60)
        assert vscode.text("stats.py") == STATS


def test_edit_as_told_and_one_undo_restores_the_bytes(vscode: Workbench, seen: Seen) -> None:
    before = "def add(a, b):\r\n\ttotal = a - b\r\n\treturn total"
    with seen(paths.EDIT_AND_UNDO, "VS Code", VERSION):
        path = vscode.open("tabs.py", before, line=0, to=2)
        vscode.palette("StarChat: Edit as You Say")
        vscode.page("await verbs.answer('What should change?', 'Name the sum')")
        vscode.wait_for_text("tabs.py", before.replace("a - b", "a + b"))
        vscode.page("await page.locator('.monaco-editor .view-line').first().click(); await page.keyboard.press('Control+z')")
        vscode.wait_for_text("tabs.py", before)
        vscode.page("await page.keyboard.press('Control+s')")
        until(lambda: not vscode.host("return vscode.window.activeTextEditor.document.isDirty"), 60)
        assert path.read_bytes() == before.encode()


def test_typing_during_generation(vscode: Workbench, seen: Seen, screens: Path) -> None:
    text = STATS.replace("add", "slow_add")
    with seen(paths.TYPING, "VS Code", VERSION):
        vscode.open("slow.py", text, line=5)
        vscode.palette("StarChat: Fix a Bug")
        vscode.page("await page.locator('.notification-toast', { hasText: 'writing' }).waitFor()")
        vscode.shot(screens / "vscode-progress.png")
        vscode.page("await page.locator('.monaco-editor .view-line').first().click(); await page.keyboard.press('Home')")
        vscode.page("await page.keyboard.type('# typed meanwhile', { delay: 20 }); await page.keyboard.press('Enter')")
        vscode.wait_for_text("slow.py", "# typed meanwhile\n" + text.replace("a - b", "a + b"))


def test_server_killed_and_restarted(vscode: Workbench, seen: Seen) -> None:
    with seen(paths.RESTART, "VS Code", VERSION):
        vscode.open("stats.py", STATS, line=5)
        vscode.page(STATUS)
        [before] = vscode.servers()
        os.kill(before, signal.SIGKILL)
        until(lambda: vscode.servers() not in ([], [before]), 60)
        vscode.diagnose("stats.py", line=5, message="total is wrong", source="pytest")
        vscode.palette("StarChat: Fix a Bug")
        vscode.wait_for_text("stats.py", FIXED)


def test_a_server_that_dies_while_it_is_greeted(vscode: Workbench, screens: Path, tmp_path: Path) -> None:
    real = vscode_driver.SETTINGS["starchat.server.path"]
    hangs, dies = tmp_path / "hangs-once", tmp_path / "dies"
    hangs.write_text(f'#!/bin/sh\n[ -e "$0.pid" ] && exec {real}\necho $$ >"$0.pid"\nexec sleep 600\n')
    dies.write_text("#!/bin/sh\nexit 3\n")
    for program in (hangs, dies):
        program.chmod(0o755)
    vscode.open("stats.py", STATS, line=5)
    vscode.set(starchat__server__path=str(hangs))
    vscode.palette("StarChat: Restart Server")
    until(lambda: hangs.with_name("hangs-once.pid").exists(), 60)
    os.kill(int(hangs.with_name("hangs-once.pid").read_text()), signal.SIGKILL)
    vscode.page(STATUS)
    vscode.set(starchat__server__path=str(dies))
    vscode.palette("StarChat: Restart Server")
    vscode.page("await page.locator('.statusbar-item', { hasText: 'StarChat: stopped' }).waitFor()")
    vscode.page("await page.locator('.notification-toast', { hasText: 'ends again and again' }).waitFor()")
    vscode.shot(screens / "vscode-stopped.png")
    vscode.set(starchat__server__path=str(real))
    vscode.page("await page.locator('.notification-toast', { hasText: 'again and again' }).getByText('Start It Again').click()")
    vscode.page(STATUS)


def test_model_still_loading(vscode: Workbench, seen: Seen, script: Callable[..., str], screens: Path) -> None:
    with seen(paths.LOADING, "VS Code", VERSION):
        vscode.open("stats.py", STATS, line=5)
        vscode.set(starchat__model=script("slow-to-load", {"reply": ADD}, load_ms=6000))
        vscode.palette("StarChat: Fix a Bug")
        vscode.page("await page.locator('.statusbar-item', { hasText: /loading [1-9]\\d? %/ }).waitFor()")
        vscode.shot(screens / "vscode-loading-dark.png")
        vscode.set(workbench__colorTheme="Default Light Modern")
        vscode.page("await page.locator('.statusbar-item', { hasText: /loading [1-9]\\d? %/ }).waitFor()")
        vscode.shot(screens / "vscode-loading-light.png")
        vscode.set(workbench__colorTheme="Default Dark Modern")
        vscode.wait_for_text("stats.py", FIXED, 40)


def test_ghost_text(vscode: Workbench, seen: Seen, screens: Path) -> None:
    with seen(paths.GHOST, "VS Code", VERSION):
        vscode.open("double.py", "def double(x):\n", line=1)
        vscode.page("await page.locator('.monaco-editor .view-line').last().click(); await page.keyboard.press('Control+End')")
        vscode.page("await page.keyboard.type('    ', { delay: 60 })")
        vscode.page("await page.waitForSelector('[class*=ghost-text-decoration]')")
        vscode.shot(screens / "vscode-ghost-text.png")
        vscode.page("await page.keyboard.press('Tab')")
        until(lambda: vscode.text("double.py").endswith("    return 2 * x"), 60)


def test_nothing_but_the_editor_itself_reaches_out(vscode: Workbench) -> None:
    own = {"127.0.0.1", "open-vsx.org"}
    assert {host for host in vscode.page("return verbs.hosts()") if not host.endswith(".vscode-cdn.net")} <= own


def test_fix_with_a_real_model(vscode: Workbench, seen: Seen) -> None:
    with seen(paths.FIX, "VS Code", VERSION, engine=REAL_MODEL):
        vscode.open("stats.py", STATS, line=5)
        vscode.set(starchat__model=REAL_MODEL)
        vscode.diagnose("stats.py", line=5, message="add(2, 3) should be 5 but is -1", source="pytest")
        vscode.palette("StarChat: Fix a Bug")
        until(lambda: vscode.text("stats.py") != STATS, 120)
        assert "a + b" in vscode.text("stats.py")


def test_it_sets_up_its_own_server_once_the_user_agrees(
    vscode_installed: None, seen: Seen, tmp_path: Path, screens: Path
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STARCHAT_", "PYTHON"))}
    path = [each for each in kept["PATH"].split(os.pathsep) if not (Path(each) / "assistant-server").exists()]
    environment = {**kept, "PATH": os.pathsep.join(path), "STARCHAT_HOME": str(tmp_path / "home")}
    bare = vscode_driver.workbench(tmp_path, {"starchat.server.path": ""}, environment)
    with seen(paths.INSTALL, "VS Code", VERSION), bare as vscode:
        vscode.load()
        vscode.page("await page.locator('.notification-toast', { hasText: 'needs its server' }).getByText('Set It Up').click()")
        vscode.page("await page.locator('.quick-input-list .monaco-list-row', { hasText: 'processor' }).click()")
        vscode.page("await page.locator('.notification-toast', { hasText: 'is set up' }).waitFor({ timeout: 240000 })")
        vscode.shot(screens / "vscode-set-up.png")
        [server] = vscode.servers()
        assert "globalStorage/starchat.starchat-assistant/environment" in Path(f"/proc/{server}/cmdline").read_text()
