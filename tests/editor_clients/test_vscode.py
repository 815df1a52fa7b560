"""The golden paths in a real VS Code with the packaged extension: asserted in its host, walked through its interface."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.editor_clients import golden_paths as paths
from tests.editor_clients import vscode_driver
from tests.editor_clients.conftest import BENCH, REAL_MODEL
from tests.editor_clients.vscode_driver import VERSION, Workbench, until
from tests.server.buffer import end_hosts, engine_is_idle

Seen = Callable[..., AbstractContextManager[None]]

STATS = "def mean(values):\n    return sum(values) / len(values)\n\n\ndef add(a, b):\n    total = a - b\n    return total\n"
FIXED = STATS.replace("a - b", "a + b")
ADD = "```python\ndef add(a, b):\n    total = a + b\n    return total\n```"
ANSWER = (
    "`add` takes `b` **away** where it should add it.\n\n"
    '```python\ndef add(a, b):\n    """The sum of a and b."""\n    total = a + b  # not minus\n    return total\n```\n\n'
    "<img src=x onerror=alert(1)> and [a link](javascript:alert(1)) stay text."
)
LONG = " ".join(f"Word {number * 7919 % 1000}." for number in range(400))
STATUS = "await page.locator('.statusbar-item', { hasText: 'scripted' }).waitFor()"
RULES: tuple[dict[str, Any], ...] = (
    {"match": "What is amiss[\\s\\S]*my question again", "reply": "You asked **what is amiss**."},
    {"match": "total = a - b[\\s\\S]*What is amiss", "reply": ANSWER, "delay_ms": 1},
    {"match": "Talk for long", "reply": LONG, "delay_ms": 12},
    {"match": "total is wrong", "reply": ADD},
    {"match": "slow_add", "reply": ADD.replace("add", "slow_add"), "delay_ms": 40},
    {"match": "Two changes", "reply": f"```python\n{FIXED.replace('sum(values) /', 'sum(values) //')}```"},
    {"match": "Name the sum", "reply": "```python\r\ndef add(a, b):\r\n\ttotal = a + b\r\n\treturn total\r\n```"},
    {"match": "<fim_prefix>[\\s\\S]*def double\\(x\\):\\n    <", "reply": "return 2 * x"},
    {"match": "<fim_prefix>", "reply": ""},
    {"match": "JavaScript", "reply": "```javascript\nfunction add(a, b) {\n  return a - b;\n}\n```"},
    {"match": "(?i)explain", "reply": "## What it does\n\nIt takes `b` **away** from `a`.\n"},
    {"reply": "Nothing to say."},
)


@pytest.fixture(scope="module", autouse=True)
def editor() -> None:
    """VS Code is there; where it is missing, the tests fail under CI, and say how to install it elsewhere."""
    try:
        vscode_driver.installed()
    except FileNotFoundError as missing:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(missing))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A short path, as sockets need it."""
    path = Path(tempfile.mkdtemp(prefix="vs-"))
    yield path
    end_hosts(path / "home")
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def script(folder: Path) -> Callable[..., str]:
    def write(name: str, *rules: dict[str, Any], **keys: Any) -> str:
        path = folder / f"{name}.json"
        path.write_text(json.dumps({"context_length": 16384, "rules": rules, **keys}))
        return f"scripted:{path}"

    return write


@pytest.fixture(scope="module")
def bench(folder: Path, script: Callable[..., str]) -> Iterator[Workbench]:
    """One window for all tests of this module but the last."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STARCHAT_", "PYTHON"))}
    environment = {**kept, "STARCHAT_HOME": str(folder / "home"), "STARCHAT_IDLE_MINUTES": "5"}
    with vscode_driver.workbench(folder, {"starchat.model": script("plays", *RULES)}, environment) as opened:
        opened.load()
        yield opened


@pytest.fixture
def vscode(bench: Workbench, script: Callable[..., str], screens: Path, request: pytest.FixtureRequest) -> Iterator[Workbench]:
    """The window without editors and messages; how it looks at the end of the test is kept."""
    bench.tidy()
    bench.set(starchat__model=script("plays", *RULES), starchat__edits__confirm=False)
    yield bench
    bench.shot(screens / f"end-of-{request.node.name}.png")


@pytest.fixture(scope="module")
def screens() -> Path:
    path = BENCH / "screens"
    path.mkdir(parents=True, exist_ok=True)
    return path


def test_fix_from_a_diagnostic(vscode: Workbench, seen: Seen, screens: Path) -> None:
    with seen(paths.FIX, "VS Code", VERSION):
        vscode.open("stats.py", STATS, line=5)
        vscode.diagnose("stats.py", line=5, message="total is wrong", source="pytest")
        vscode.page("await page.waitForSelector('.squiggly-error')")
        vscode.page("await verbs.lightbulb('StarChat: Fix a bug')")
        vscode.shot(screens / "vscode-lightbulb.png")
        vscode.page("await page.locator('.action-widget .monaco-list-row', { hasText: 'StarChat: Fix a bug' }).first().click()")
        vscode.wait_for_text("stats.py", FIXED)


def test_explain_is_shown_rendered_beside_the_code(vscode: Workbench, seen: Seen, screens: Path) -> None:
    with seen(paths.EXPLAIN, "VS Code", VERSION):
        vscode.open("stats.py", STATS, line=4, to=6)
        vscode.page("await verbs.palette('StarChat: Explain')")
        vscode.page("await (await verbs.frameWith('.markdown-body strong, .vscode-body strong')).getByText('away').waitFor()")
        vscode.shot(screens / "vscode-explain.png")
        assert vscode.text("stats.py") == STATS


def test_translate_to_a_new_file(vscode: Workbench, seen: Seen) -> None:
    with seen(paths.TRANSLATE, "VS Code", VERSION):
        vscode.open("stats.py", STATS, line=4, to=6)
        vscode.page("await verbs.palette('StarChat: Translate to Another Language')")
        vscode.page("await page.locator('.quick-input-list .monaco-list-row', { hasText: 'JavaScript' }).click()")
        until(lambda: "function add" in vscode.text_of_active(), 60)
        assert vscode.text("stats.py") == STATS


def test_edit_as_told_and_one_undo_restores_the_bytes(vscode: Workbench, seen: Seen) -> None:
    before = "def add(a, b):\r\n\ttotal = a - b\r\n\treturn total"
    with seen(paths.EDIT_AND_UNDO, "VS Code", VERSION):
        path = vscode.open("tabs.py", before, line=0, to=2)
        vscode.page("await verbs.palette('StarChat: Edit as You Say')")
        vscode.page("await verbs.answer('What should change?', 'Name the sum')")
        vscode.wait_for_text("tabs.py", before.replace("a - b", "a + b"))
        vscode.page("await page.locator('.monaco-editor .view-line').first().click(); await page.keyboard.press('Control+z')")
        vscode.wait_for_text("tabs.py", before)
        vscode.page("await page.keyboard.press('Control+s')")
        until(lambda: not vscode.host("return vscode.window.activeTextEditor.document.isDirty"), 60)
        assert path.read_bytes() == before.encode()


def test_chat_of_two_turns_with_a_selection(vscode: Workbench, seen: Seen, screens: Path) -> None:
    with seen(paths.CHAT, "VS Code", VERSION):
        vscode.open("stats.py", STATS, line=4, to=6)
        vscode.page("await verbs.palette('StarChat: Add Selection to Chat')")
        vscode.chat("await chat.locator('#references', { hasText: 'stats.py:5–7' }).waitFor()")
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
    vscode.open("stats.py", STATS, line=4, to=6)
    vscode.page("await verbs.palette('StarChat: New Chat')")
    vscode.page("await verbs.palette('StarChat: Add Selection to Chat')")
    vscode.say("What is amiss here?")
    vscode.chat("await chat.locator('article.assistant:not(.growing) figure.code').waitFor()")
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


def test_each_change_is_taken_or_left(vscode: Workbench) -> None:
    vscode.set(starchat__edits__confirm=True)
    vscode.open("stats.py", STATS, line=0, to=6)
    vscode.page("await verbs.palette('StarChat: Edit as You Say')")
    vscode.page("await verbs.answer('What should change?', 'Two changes')")
    vscode.page("await page.locator('.tab', { hasText: '2 changes proposed' }).waitFor()")
    vscode.page("await verbs.palette('StarChat: Reject This Change')")
    vscode.page("await verbs.palette('StarChat: Accept This Change')")
    vscode.wait_for_text("stats.py", FIXED)
    vscode.page("await page.locator('.tab', { hasText: 'proposed' }).waitFor({ state: 'detached' })")


def test_a_closed_diff_leaves_the_text_alone(vscode: Workbench) -> None:
    vscode.set(starchat__edits__confirm=True)
    vscode.open("stats.py", STATS, line=0, to=6)
    vscode.page("await verbs.palette('StarChat: Edit as You Say')")
    vscode.page("await verbs.answer('What should change?', 'Two changes')")
    vscode.page("await page.locator('.tab', { hasText: 'proposed' }).waitFor()")
    vscode.host("await vscode.commands.executeCommand('workbench.action.closeActiveEditor')")
    until(lambda: vscode.host("return (await vscode.commands.executeCommand('starchat.cancel')).cancelled.length") == 0, 60)
    assert vscode.text("stats.py") == STATS


def test_cancel_mid_answer(vscode: Workbench, seen: Seen, folder: Path) -> None:
    with seen(paths.CANCEL, "VS Code", VERSION):
        vscode.open("stats.py", STATS, line=4)
        vscode.page("await verbs.palette('StarChat: New Chat')")
        vscode.say("Talk for long")
        vscode.chat("await chat.locator('article.growing', { hasText: 'Word 676.' }).waitFor()")
        vscode.page("await page.keyboard.press('Escape')")
        vscode.chat("await chat.locator('article .notice', { hasText: 'Stopped.' }).waitFor()")
        kept = vscode.chat("return await chat.locator('article.assistant .text').innerText()")
        assert LONG.startswith(kept.strip()) and len(kept) < len(LONG)
        until(lambda: engine_is_idle(folder / "home"), 60)


def test_typing_during_generation(vscode: Workbench, seen: Seen, screens: Path) -> None:
    text = STATS.replace("add", "slow_add")
    with seen(paths.TYPING, "VS Code", VERSION):
        vscode.open("slow.py", text, line=5)
        vscode.page("await verbs.palette('StarChat: Fix a Bug')")
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
        vscode.page("await verbs.palette('StarChat: Fix a Bug')")
        vscode.wait_for_text("stats.py", FIXED)


def test_model_still_loading(vscode: Workbench, seen: Seen, script: Callable[..., str], screens: Path) -> None:
    with seen(paths.LOADING, "VS Code", VERSION):
        vscode.open("stats.py", STATS, line=5)
        vscode.set(starchat__model=script("slow-to-load", {"reply": ADD}, load_ms=6000))
        vscode.page("await verbs.palette('StarChat: Fix a Bug')")
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


def test_nothing_but_the_editor_itself_reaches_out(vscode: Workbench) -> None:
    own = {"127.0.0.1", "open-vsx.org"}
    assert {host for host in vscode.page("return verbs.hosts()") if not host.endswith(".vscode-cdn.net")} <= own


def test_fix_with_a_real_model(vscode: Workbench, seen: Seen) -> None:
    with seen(paths.FIX, "VS Code", VERSION, engine=REAL_MODEL):
        vscode.open("stats.py", STATS, line=5)
        vscode.set(starchat__model=REAL_MODEL)
        vscode.diagnose("stats.py", line=5, message="add(2, 3) should be 5 but is -1", source="pytest")
        vscode.page("await verbs.palette('StarChat: Fix a Bug')")
        until(lambda: vscode.text("stats.py") != STATS, 120)
        assert "a + b" in vscode.text("stats.py")


def test_it_sets_up_its_own_server_once_the_user_agrees(seen: Seen, tmp_path: Path, screens: Path) -> None:
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
