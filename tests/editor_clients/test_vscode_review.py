"""Edits that are looked at first in VS Code: each change is taken or left."""

from __future__ import annotations

from pathlib import Path

from tests.editor_clients.vscode_driver import Workbench, until
from tests.editor_clients.vscode_window import FIXED, STATS


def test_each_change_is_taken_or_left(vscode: Workbench) -> None:
    propose_two(vscode)
    vscode.palette("StarChat: Reject This Change")
    vscode.palette("StarChat: Accept This Change")
    vscode.wait_for_text("stats.py", FIXED)
    vscode.page("await page.locator('.tab', { hasText: 'proposed' }).waitFor({ state: 'detached' })")


def test_what_was_taken_of_an_edit_is_taken_back(vscode: Workbench, screens: Path) -> None:
    propose_two(vscode)
    vscode.page("await page.locator('.editor.modified .view-line').first().click({ position: { x: 5, y: 5 } })")
    vscode.shot(screens / "vscode-hunks.png")
    vscode.page("await page.keyboard.press('Alt+n'); await page.keyboard.press('Alt+y')")
    vscode.wait_for_text("stats.py", FIXED)
    vscode.set(starchat__edits__confirm=False)
    vscode.palette("StarChat: Take the Last Edit Back")
    vscode.wait_for_text("stats.py", STATS)


def test_a_closed_diff_leaves_the_text_alone(vscode: Workbench) -> None:
    propose_two(vscode)
    vscode.host("await vscode.commands.executeCommand('workbench.action.closeActiveEditor')")
    until(lambda: vscode.host("return (await vscode.commands.executeCommand('starchat.cancel')).cancelled.length") == 0, 60)
    assert vscode.text("stats.py") == STATS


def test_a_new_file_is_looked_at_before_it_is_made(vscode: Workbench, screens: Path) -> None:
    vscode.set(starchat__edits__confirm=True)
    vscode.open("sums.py", STATS, line=4, to=6)
    for answer in ("Discard", "Apply"):
        vscode.palette("StarChat: Translate to Another Language")
        vscode.page("await page.locator('.quick-input-list .monaco-list-row', { hasText: 'JavaScript' }).click()")
        vscode.page("await page.locator('.tab', { hasText: 'sums.js: new file proposed' }).waitFor()")
        vscode.page("await page.locator('.editor.modified .view-line', { hasText: 'function add' }).waitFor()")
        vscode.shot(screens / "vscode-new-file.png")
        assert not (vscode.folder / "sums.js").exists()
        vscode.page("await page.locator('.editor-actions .action-label', { hasText: given.answer }).click()", answer=answer)
        vscode.page("await page.locator('.tab', { hasText: 'proposed' }).waitFor({ state: 'detached' })")
    until(lambda: (vscode.folder / "sums.js").exists() and "function add" in vscode.text_of_active(), 60)


def propose_two(vscode: Workbench) -> None:
    """Have two changes proposed, and wait for their diff."""
    vscode.set(starchat__edits__confirm=True)
    vscode.open("stats.py", STATS, line=0, to=6)
    vscode.palette("StarChat: Edit as You Say")
    vscode.page("await verbs.answer('What should change?', 'Two changes')")
    vscode.page("await page.locator('.tab', { hasText: '2 changes proposed' }).waitFor()")
