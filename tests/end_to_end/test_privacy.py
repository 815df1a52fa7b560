"""Promise 16: secrets stay out of prompts, nothing that is said stays in a log, and nothing is sent anywhere."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scale import rounds

BIN = Path(sys.executable).parent
CANARY = "c4n4ry"

SECRET_NAMES = (
    ".env", ".env.production", "prod.env", "server.key", "cert.pem", "id_rsa", "id_ed25519", "credentials.json", ".netrc",
    ".npmrc", ".aws/credentials", ".ssh/config", "infra.tfvars", "secrets.yaml", "store.p12", ".pypirc",
    "build/out.py", "local.cfg",
)  # fmt: skip
"""What `ignore.py` knows as secrets; the last two are ignored by the workspace's own rules."""

AUDITED = """
import sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        with open({log!r}, "a") as file:
            print(event, arguments[1] if event == "socket.connect" else arguments, file=file)
sys.addaudithook(hook)
from assistant.cli import main
sys.exit(main())
"""


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STARCHAT_")}
    home = tmp_path / "home"
    model = tmp_path / "script.json"
    rules = [{"match": "(?i)fix the bug|find the bug|rewrite", "reply": "x = 1\n```"}, {"echo": True}]
    model.write_text(json.dumps({"context_length": 200_000, "rules": rules}))
    (tmp_path / "tmp").mkdir()
    own = {"STARCHAT_HOME": str(home), "STARCHAT_MODEL": f"scripted:{model}", "STARCHAT_IDLE_MINUTES": "1"}
    yield {**kept, **own, "TMPDIR": str(tmp_path / "tmp")}
    for record in (home / "hosts").glob("*.json"):
        os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A repository with secrets everywhere, tracked and not, changed and staged; each with a canary of its own."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / ".gitignore").write_text("build/\n*.cfg\n")
    (folder / "app.py").write_text("x = 0\n")
    names = [
        f"part{number}/{SECRET_NAMES[number % len(SECRET_NAMES)]}" for number in range(max(len(SECRET_NAMES), rounds(200)))
    ]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("KEY=old\n")
    tracked = [name for name in names if "build/" not in name and not name.endswith(".cfg")]
    git(folder, "add", "-f", "app.py", ".gitignore", *tracked)
    git(folder, "commit", "-qm", "All of it")
    (folder / "app.py").write_text("x = 2\n")
    for number, name in enumerate(names):
        (folder / name).write_text(f"KEY={CANARY}{number}\n")
    return folder


def test_secrets_stay_out_of_prompts(workspace: Path, environment: dict[str, str]) -> None:
    def shown(*arguments: str, stdin: str = "") -> str:
        done = run(environment, workspace, *arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        assert CANARY not in done.stdout + done.stderr, arguments
        return done.stdout

    assert "x = 2" in shown("ask", "What is it?", "-f", ".")
    assert "x = 2" in shown("ask", "What is it?", "-f", "**/*")
    assert "x = 2" in shown("chat", stdin="/file .\nWhat is it?\n/diff\nWhat has changed?\n")
    git(workspace, "add", "-u")
    assert "-x = 0" in shown("chat", stdin="/diff --staged\nWhat is staged?\n")
    assert "x = 2" in shown("commit", "--show-context")
    named = run(environment, workspace, "ask", "What is it?", "-f", "part0/.env")
    assert f"KEY={CANARY}0" in named.stdout  # the very file was named …
    assert "looks like a secret" in named.stderr  # … and that is said


def test_what_is_said_stays_in_the_history_alone_and_goes_with_it(environment: dict[str, str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    lines = "".join(f"{CANARY} number {number}\n/new {CANARY}\n" for number in range(rounds(10_000)))
    assert run(environment, tmp_path, "chat", "--no-history", stdin=lines).returncode == 0
    (tmp_path / f"{CANARY}.py").write_text(f"{CANARY} = 1\n")
    run(environment, tmp_path, "ask", f"{CANARY}?", "-f", f"{CANARY}.py")
    run(environment, tmp_path, "fix", "--diff", f"{CANARY}.py")
    run(environment, tmp_path, "ask", CANARY, stdin=f"{CANARY} " * 60_000)  # too long
    run(environment, tmp_path, "chat", "--no-history", stdin=f"/file {CANARY}.missing\n/{CANARY}\n/open {CANARY}\n")
    assert any((home / "hosts").glob("*.log"))
    assert holding(home) == [] and holding(tmp_path / "tmp") == []
    assert run(environment, tmp_path, "chat", stdin=f"{CANARY}\n").returncode == 0
    assert [path.relative_to(home).parts[0] for path in holding(home)] == ["history"]
    assert run(environment, tmp_path, "history", "delete", "--all", "-y").returncode == 0
    assert holding(home) == [] and holding(tmp_path / "tmp") == []


def test_front_ends_speak_to_the_host_alone(environment: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "connections"
    log.touch()
    program = AUDITED.format(log=str(log))
    (tmp_path / "a.py").write_text("x = 0\n")
    for arguments in (
        ("ask", "Hi"),
        ("fix", "--diff", "a.py"),
        ("chat", "Hi"),
        ("doctor",),
        ("status",),
        ("models", "list"),
        ("paths",),
    ):
        command = [sys.executable, "-P", "-c", program, *arguments]
        subprocess.run(command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    connections = log.read_text().splitlines()
    sockets = re.compile(r"socket\.connect \S*\.sock$|socket\.connect \S*/\S+$")
    assert connections and [line for line in connections if not sockets.match(line)] == []


def holding(folder: Path) -> list[Path]:
    """The files below `folder` that hold the canary, in their content or their name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if CANARY.encode() in path.read_bytes() or CANARY in path.name]


def run(environment: dict[str, str], folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "assistant", *arguments], cwd=folder, env=environment, input=stdin, capture_output=True, text=True, timeout=3600
    )


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)
