"""The chat view of VS Code's client, and what the editor's own chat and other extensions can do with the model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tests.editor_clients import golden_paths as paths
from tests.editor_clients import vscode_driver
from tests.editor_clients.vscode_driver import VERSION, Workbench, until
from tests.editor_clients.vscode_window import LONG, STATS, STATUS
from tests.remote.foreign_server import MODEL
from tests.server.buffer import engine_is_idle

Seen = Callable[..., AbstractContextManager[None]]


def test_chat_of_two_turns_with_a_selection(vscode: Workbench, seen: Seen, screens: Path) -> None:
    with seen(paths.CHAT, "VS Code", VERSION):
        vscode.open("stats.py", STATS, line=4, to=6)
        vscode.attach("stats.py:5–7")
        vscode.say("What is amiss here?")
        vscode.chat("await chat.locator('article.assistant:not(.growing) figure.code').waitFor()")
        assert vscode.chat("return await chat.locator('#log img, #log a[href^=javascript]').count()") == 0
        vscode.say("What was my question again?")
        vscode.chat("await chat.locator('article.assistant:not(.growing)', { hasText: 'You asked what is amiss' }).waitFor()")
        vscode.shot(screens / "vscode-chat-dark.png")
        vscode.set(workbench__colorTheme="Default Light Modern")
        vscode.page("await page.waitForSelector('.monaco-workbench.vs')")
        vscode.shot(screens / "vscode-chat-light.png")
        vscode.set(workbench__colorTheme="Default Dark Modern")


def test_code_of_an_answer_is_copied_inserted_and_applied_as_a_diff(vscode: Workbench, screens: Path) -> None:
    begin(vscode)
    vscode.chat("await chat.locator('[data-act=copy]').click()")
    until(lambda: "not minus" in vscode.page("return page.evaluate(() => navigator.clipboard.readText())"), 60)
    vscode.chat("await chat.locator('[data-act=apply]').click()")
    vscode.page("await page.locator('.tab', { hasText: 'one change proposed' }).waitFor()")
    vscode.page("await page.locator('.editor-actions .action-label', { hasText: 'Apply' }).waitFor()")
    vscode.shot(screens / "vscode-diff-dark.png")
    assert vscode.text("stats.py") == STATS
    vscode.page("await page.locator('.editor-actions .action-label', { hasText: 'Apply' }).click()")
    until(lambda: "# not minus" in vscode.text("stats.py"), 60)
    vscode.open("empty.py", "\n", line=0)
    vscode.chat("await chat.locator('[data-act=insert]').click()")
    until(lambda: "# not minus" in vscode.text("empty.py"), 60)


def test_cancel_mid_answer(vscode: Workbench, seen: Seen, window_folder: Path) -> None:
    with seen(paths.CANCEL, "VS Code", VERSION):
        vscode.open("stats.py", STATS, line=4)
        vscode.begin_chat()
        vscode.say("Talk for long")
        vscode.chat("await chat.locator('article.growing', { hasText: 'Word 676.' }).waitFor()")
        vscode.page("await page.keyboard.press('Escape')")
        vscode.chat("await chat.locator('article .notice', { hasText: 'Stopped.' }).waitFor()")
        kept = vscode.chat("return await chat.locator('article.assistant .text').innerText()")
        assert LONG.startswith(kept.strip()) and len(kept) < len(LONG)
        until(lambda: engine_is_idle(window_folder / "home"), 60)


def test_the_editors_own_language_model_interface(vscode: Workbench) -> None:
    said = vscode.host("""
        const [model] = await vscode.lm.selectChatModels({ vendor: "starchat" });
        const { User, Assistant } = vscode.LanguageModelChatMessage;
        const asked = [User("What is amiss"), Assistant("There."), User("What was my question again?")];
        let text = "";
        for await (const piece of (await model.sendRequest(asked, {})).text) text += piece;
        return text;
    """)
    assert said == "You asked **what is amiss**."


def test_code_is_applied_to_what_its_own_answer_is_about(vscode: Workbench) -> None:
    begin(vscode)
    vscode.open("other.py", "def add(a, b):\n    return 0\n", line=0, to=1)
    vscode.attach("other.py")
    vscode.say("And here?")
    vscode.chat("await chat.locator('article.assistant:not(.growing) figure.code').nth(1).waitFor()")
    vscode.chat("await chat.locator('[data-act=apply]').first().click()")
    vscode.page("await page.locator('.tab', { hasText: 'stats.py: one change proposed' }).waitFor()")
    vscode.palette("StarChat: Discard the Proposed Changes")
    vscode.chat("await chat.locator('[data-act=apply]').nth(1).click()")
    vscode.page("await page.locator('.tab', { hasText: 'other.py: one change proposed' }).waitFor()")


def test_the_chat_is_used_without_a_mouse(vscode: Workbench, screens: Path) -> None:
    vscode.set(workbench__colorTheme="Default High Contrast")
    begin(vscode)
    vscode.page("await page.keyboard.press('Shift+Tab'); await page.keyboard.press('Shift+Tab')")
    assert vscode.chat("return await chat.evaluate(() => document.activeElement.dataset.act)") == "apply"
    vscode.shot(screens / "vscode-chat-high-contrast.png")
    vscode.page("await page.keyboard.press('Enter')")
    vscode.page("await page.locator('.tab', { hasText: 'one change proposed' }).waitFor()")
    vscode.shot(screens / "vscode-diff-high-contrast.png")
    vscode.page("await page.keyboard.press('Control+Enter')")
    until(lambda: "# not minus" in vscode.text("stats.py"), 60)
    vscode.set(workbench__colorTheme="Default Dark Modern")


def test_a_chat_that_is_not_kept_begins_anew_with_the_server(vscode: Workbench, screens: Path) -> None:
    vscode.set(starchat__history=False)
    begin(vscode)
    vscode.palette("StarChat: Show Chats")
    vscode.chat("await chat.locator('#chats li').first().waitFor()")
    vscode.shot(screens / "vscode-chats.png")
    vscode.chat("await chat.locator('#chats .open', { hasText: 'What is amiss here?' }).first().click()")
    vscode.chat("await chat.locator('#chats').waitFor({ state: 'hidden' })")
    [before] = vscode.servers()
    os.kill(before, signal.SIGKILL)
    until(lambda: vscode.servers() not in ([], [before]), 60)
    vscode.page(STATUS)
    vscode.say("What is amiss here?")
    vscode.chat("await chat.locator('article.assistant:not(.growing)', { hasText: 'Nothing to say.' }).waitFor()")
    vscode.set(starchat__history=True)


def test_the_editors_own_chat(vscode: Workbench, screens: Path) -> None:
    vscode.open("stats.py", STATS, line=4, to=6)
    vscode.palette("StarChat: Ask @starchat in the Editor")
    vscode.page("await page.locator('.interactive-session .interactive-input-part', { hasText: '@starchat' }).waitFor()")
    vscode.page("await page.keyboard.type('What is amiss here?'); await page.keyboard.press('Enter')")
    vscode.page("await page.locator('.interactive-response', { hasText: 'where it should add it' }).waitFor()")
    vscode.page("await page.keyboard.type('What was my question again?'); await page.keyboard.press('Enter')")
    vscode.page("await page.locator('.interactive-response', { hasText: 'You asked what is amiss' }).waitFor()")
    vscode.shot(screens / "vscode-own-chat.png")
    vscode.host("await vscode.commands.executeCommand('workbench.action.closeAuxiliaryBar')")


def test_it_says_where_text_goes(vscode: Workbench, screens: Path, tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    program = [sys.executable, vscode_driver.REPOSITORY / "tests" / "remote" / "foreign_server.py", "vllm"]
    with subprocess.Popen([*program, "127.0.0.2", tmp_path / "log", ""], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        vscode.set(starchat__model=MODEL, starchat__endpoint=f"http://127.0.0.2:{int(server.stdout.readline())}")
        vscode.begin_chat()
        vscode.say("What is amiss here?")
        vscode.chat("await chat.locator('#where', { hasText: 'Goes to 127.0.0.2' }).waitFor()")
        vscode.page("await page.locator('.statusbar-item', { hasText: '127.0.0.2' }).first().waitFor()")
        vscode.page("await page.locator('.notification-toast', { hasText: 'Your code leaves this machine' }).waitFor()")
        vscode.chat("await chat.locator('article.assistant:not(.growing) .text:not(:empty)').waitFor()")
        vscode.shot(screens / "vscode-remote.png")
        vscode.set(starchat__endpoint="")
        server.kill()


def begin(vscode: Workbench) -> None:
    """A new chat with the answer to a question about lines of `stats.py`, by keys alone."""
    vscode.open("stats.py", STATS, line=4, to=6)
    vscode.begin_chat()
    vscode.attach("stats.py")
    vscode.page("await page.keyboard.type('What is amiss here?'); await page.keyboard.press('Enter')")
    vscode.chat("await chat.locator('article.assistant:not(.growing) figure.code').waitFor()")
