"""A real VS Code (code-server) with the packaged client: its extension host is asked, its workbench is used in a browser."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

REPOSITORY = Path(__file__).parents[2]
CLIENT = REPOSITORY / "editor-clients" / "vscode"
HERE = Path(__file__).parent
VERSION = "4.139.1"

SETTINGS: dict[str, Any] = {
    "workbench.startupEditor": "none",
    "workbench.colorTheme": "Default Dark Modern",
    "workbench.tips.enabled": False,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.editor.enablePreview": False,
    "workbench.reduceMotion": "on",
    "security.workspace.trust.enabled": False,
    "telemetry.telemetryLevel": "off",
    "extensions.ignoreRecommendations": True,
    "files.autoSave": "off",
    "editor.minimap.enabled": False,
    "starchat.server.path": str(Path(sys.executable).parent / "assistant-server"),
}


class Workbench:
    """`host(code)` runs JavaScript in the extension host, `page(code)` in the browser; both give what it returns."""

    def __init__(self, folder: Path, probe: Path, browser: subprocess.Popen[str]) -> None:
        self.folder = folder
        self._probe, self._browser = probe, browser

    def host(self, code: str, **given: Any) -> Any:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(60)
            line.connect(str(self._probe))
            line.sendall(json.dumps({"id": 1, "code": code, "given": given}).encode() + b"\n")
            return _value(line.makefile().readline())

    def page(self, code: str, **given: Any) -> Any:
        assert self._browser.stdin is not None and self._browser.stdout is not None
        self._browser.stdin.write(json.dumps({"id": 1, "code": code, "given": given}) + "\n")
        self._browser.stdin.flush()
        return _value(self._browser.stdout.readline())

    def load(self) -> None:
        """Open the window (again), and wait for its extension host."""
        self._probe.unlink(missing_ok=True)
        self.page("await verbs.load()")
        until(self._probe.exists, 60)

    def set(self, **settings: Any) -> None:
        """Change settings; a dot in a key is written as two underscores."""
        for key, value in settings.items():
            self.host(
                "await vscode.workspace.getConfiguration().update(given.key, given.value, vscode.ConfigurationTarget.Global)",
                key=key.replace("__", "."),
                value=value,
            )

    def tidy(self) -> None:
        """Leave no editor open, no panel and no message."""
        self.host("""
            await vscode.commands.executeCommand("starchat.editor.cancel");
            for (const document of vscode.workspace.textDocuments.filter(({ isDirty }) => isDirty)) {
                await vscode.window.showTextDocument(document); // else closing would ask whether to save it
                await vscode.commands.executeCommand("workbench.action.revertAndCloseActiveEditor");
            }
            await vscode.commands.executeCommand("workbench.action.closeAllEditors");
            await vscode.commands.executeCommand("notifications.clearAll");
        """)

    def open(self, name: str, text: str, line: int, to: int | None = None) -> Path:
        """Write a file and show it, the cursor in `line` (from 0), or all lines from there to line `to` selected."""
        path = self.folder / name
        path.write_bytes(text.encode())
        self.host(
            """
            const document = await vscode.workspace.openTextDocument(given.path);
            const editor = await vscode.window.showTextDocument(document);
            const end = given.to === null ? [given.line, 0] : [given.to, document.lineAt(given.to).text.length];
            editor.selection = new vscode.Selection(given.line, 0, ...end);
            """,
            path=str(path),
            line=line,
            to=to,
        )
        return path

    def text(self, name: str) -> str:
        """The text of a file as the editor has it."""
        code = "return (await vscode.workspace.openTextDocument(given.path)).getText()"
        return str(self.host(code, path=str(self.folder / name)))

    def text_of_active(self) -> str:
        return str(self.host("return vscode.window.activeTextEditor?.document.getText() ?? ''"))

    def wait_for_text(self, name: str, wanted: str, seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while (text := self.text(name)) != wanted:
            assert time.monotonic() < end, f"{name} is {text!r}, not {wanted!r}"
            time.sleep(0.05)

    def diagnose(self, name: str, line: int, message: str, source: str) -> None:
        """Put a diagnostic on a line, as a linter would."""
        self.host(
            """
            globalThis.problems ??= vscode.languages.createDiagnosticCollection("probe");
            const found = new vscode.Diagnostic(new vscode.Range(given.line, 4, given.line, 17), given.message);
            found.source = given.source;
            globalThis.problems.set(vscode.Uri.file(given.path), [found]);
            """,
            path=str(self.folder / name),
            line=line,
            message=message,
            source=source,
        )

    def chat(self, code: str) -> Any:
        """Run code with `chat`, the frame of the chat view."""
        return self.page(f"const chat = await verbs.frameWith('#composer'); {code}")

    def begin_chat(self) -> None:
        """A new chat, in which one can type."""
        self.palette("StarChat: New Chat")
        assert self._is_ready_to_type(60_000), "the new chat did not take the focus"

    def attach(self, label: str) -> None:
        """What is selected goes with the next question, in which one can type."""
        for _ in range(6):
            self.palette("StarChat: Add Selection to Chat")
            if self._is_ready_to_type(5000, label):
                return  # else the chat, while it was drawn, took the focus from the list of commands
        raise AssertionError(f"{label} is not in the chat")

    def _is_ready_to_type(self, milliseconds: int, label: str = "") -> bool:
        code = """
            const wait = { timeout: given.milliseconds };
            const chat = await verbs.frameWith("#composer");
            const hasFocus = () => document.hasFocus() && document.activeElement?.id === "text";
            const isAttached = async () => given.label && chat.locator("#references", { hasText: given.label }).waitFor(wait);
            return isAttached().then(() => chat.waitForFunction(hasFocus, null, wait)).then(() => true, () => false);
        """
        return bool(self.page(code, milliseconds=milliseconds, label=label))

    def say(self, text: str) -> None:
        """Type a question into the chat and send it, as with a keyboard."""
        self.chat(f"await chat.locator('#text').fill({json.dumps(text)}); await page.keyboard.press('Enter')")

    def palette(self, title: str) -> None:
        """Run a command by its title."""
        self.page("await verbs.palette(given.title)", title=title)

    def servers(self) -> list[int]:
        """The processes of the language server that this editor started."""
        found = []
        for process in Path("/proc").iterdir():
            ours = process.name.isdigit() and str(self._probe).encode() in _read(process / "environ")
            if ours and b"assistant-server" in _read(process / "cmdline"):
                found.append(int(process.name))
        return found

    def shot(self, path: Path) -> None:
        self.page("await page.screenshot({ path: given.path })", path=str(path))


@contextmanager
def workbench(folder: Path, settings: dict[str, Any], environment: dict[str, str]) -> Iterator[Workbench]:
    """VS Code on `folder / "workspace"`; its processes are a group of their own, and the group is ended."""
    editor, workspace = installed(), folder / "workspace"
    workspace.mkdir(exist_ok=True)
    _write_settings(folder, SETTINGS | settings)
    _install_client(editor, folder)
    probe, port = folder / "probe", _free_port()
    program = [editor / "bin" / "code-server", *_places(folder), "--auth", "none", "--bind-addr", f"127.0.0.1:{port}"]
    quiet = ["--disable-telemetry", "--disable-update-check", "--disable-getting-started-override"]
    with (folder / "code-server.log").open("w") as log:
        server = subprocess.Popen(
            [*program, *quiet],
            env=environment | {"STARCHAT_PROBE": str(probe)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until(lambda: _listens(port), 60)
        with _browser(editor, f"http://127.0.0.1:{port}/?folder={workspace}") as browser:
            yield Workbench(workspace, probe, browser)
    finally:
        _end_group(server)


def installed() -> Path:
    """The folder of code-server, or a sentence that says how to install it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "starchat-assistant" / "editors"
    folder = Path(os.environ.get("STARCHAT_EDITORS") or cache) / f"code-server-{VERSION}"
    if not (folder / "ready").exists():
        raise FileNotFoundError(f"VS Code is not installed in {folder}: run scripts/editors/code-server")
    return folder


def package() -> Path:
    """The VSIX of the tree as it is."""
    path = CLIENT / "dist" / "starchat-assistant.vsix"
    sources = [
        *(CLIENT / "src").rglob("*"),
        *(CLIENT / "webview").rglob("*"),
        *(CLIENT / "media").rglob("*"),
        CLIENT / "package.json",
    ]
    if not path.exists() or any(each.stat().st_mtime > path.stat().st_mtime for each in sources):
        subprocess.run([REPOSITORY / "scripts" / "editors" / "vscode-client", "package"], check=True)
    return path


def until(condition: Callable[[], Any], seconds: float) -> Any:
    """What `condition` gives once that is true; fails when it is not in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
    return value


def _install_client(editor: Path, folder: Path) -> None:
    probe = folder / "probe.vsix"
    with ZipFile(probe, "w") as archive:
        for path in (HERE / "vscode_probe").iterdir():
            archive.write(path, f"extension/{path.name}")
    command = [editor / "bin" / "code-server", *_places(folder)]
    for extension in (package(), probe):
        command += ["--install-extension", extension]
    subprocess.run(command, check=True, capture_output=True)


def _places(folder: Path) -> list[str]:
    return [
        f"--user-data-dir={folder / 'data'}",
        f"--extensions-dir={folder / 'extensions'}",
        f"--config={folder / 'config.yaml'}",
    ]


def _write_settings(folder: Path, settings: dict[str, Any]) -> None:
    for place in ("User", "Machine"):
        path = folder / "data" / place / "settings.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))


@contextmanager
def _browser(editor: Path, url: str) -> Iterator[subprocess.Popen[str]]:
    program = [editor / "bin" / "node", HERE / "vscode_browser.mjs", editor / "bin" / "chromium"]
    browser = subprocess.Popen(
        [*program, CLIENT / "node_modules" / "playwright-core", url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield browser
    finally:
        _end_group(browser)


def _end_group(process: subprocess.Popen[Any]) -> None:
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        port: int = line.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


def _value(line: str) -> Any:
    assert line, "it has ended"
    reply = json.loads(line)
    assert "error" not in reply, reply["error"]
    return reply["value"]
