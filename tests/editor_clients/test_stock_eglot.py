"""Emacs 28 with stock eglot, which can neither show progress nor wait for more than ten seconds: a job of thirty, and undo."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.editor_clients.golden_paths import STOCK
from tests.server.buffer import BUGGY, FIXED, REPLY

SCRIPT = Path(__file__).with_name("stock_eglot.el")


@pytest.fixture
def fixing(installed: Callable[..., Path], environment: dict[str, str], home: Path) -> Callable[[str], str]:
    """`fixing(model)` fixes the bug with this model, in Emacs; returns what the script printed."""
    emacs = installed("emacs")
    probe = [str(emacs), "-q", "--batch", "--eval", "(progn (package-initialize) (require 'eglot))"]
    if subprocess.run(probe, env=environment, capture_output=True).returncode:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say("this Emacs has no eglot: run scripts/editors/install")
    work = home / "work"
    work.mkdir()
    (work / "numbers.py").write_text(BUGGY, encoding="utf-8")

    def call(model: str) -> str:
        command = [str(emacs), "-q", "--batch", "-l", str(SCRIPT), "numbers.py", model]
        done = subprocess.run(command, cwd=work, env=environment, input="y\n" * 9, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def test_a_job_of_thirty_seconds(
    installed: Callable[..., Path], fixing: Callable[[str], str], scripted: Callable[..., str], seen: Callable[..., None]
) -> None:
    said = subprocess.run([installed("emacs"), "--version"], capture_output=True, text=True, check=True).stdout
    with seen(STOCK, "Emacs eglot", re.findall(r"[0-9.]+", said)[0]):
        said = fixing(scripted({"reply": REPLY, "prefill_ms": 30_000}))
        assert "back after a moment" in said
        assert f"# typed meanwhile\n{FIXED}" in said
        assert "undone: t" in said
