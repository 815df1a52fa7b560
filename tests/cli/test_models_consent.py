"""The question before a download, on a real terminal."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pty = pytest.importorskip("pty")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("answer", "code", "said"), [("n", 5, "was not downloaded"), ("", 6, "cannot be reached")])
def test_the_offer_is_shown_and_no_means_no_and_enter_means_yes(tmp_path, answer, code, said):
    ours, theirs = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("STARCHAT_", "PIP_", "HF_"))}
    environment |= {
        "STARCHAT_HOME": str(tmp_path / "home"),
        "STARCHAT_CACHE": str(tmp_path / "cache"),
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_CONFIG_FILE": os.devnull,
        "COLUMNS": "200",
    }
    command = [sys.executable, "-P", "-m", "assistant.cli", "models", "pull", "smollm2-135m"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=tmp_path) as process:
        os.close(theirs)
        shown = read_until(ours, "[Y/n]")
        for word in ("SmolLM2", "92.9 MB", "Apache-2.0", "third party", str(tmp_path), "free"):
            assert word in shown
        os.write(ours, f"{answer}\n".encode())
        assert said in read_until(ours, "")
        assert process.wait() == code
    os.close(ours)


@pytest.mark.timeout(60)
def test_ctrl_c_at_the_question_of_ask_stops_at_once(tmp_path):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("STARCHAT_", "PIP_", "HF_"))}
    environment |= {"STARCHAT_HOME": str(tmp_path / "home"), "STARCHAT_CACHE": str(tmp_path / "cache"), "COLUMNS": "200"}
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, [sys.executable, "-P", "-m", "assistant.cli", "ask", "-m", "smollm2-135m", "Hi"], environment)
    assert "[Y/n]" in read_until(terminal, "[Y/n]")
    os.write(terminal, b"\x03")
    assert "assistant: Stopped." in read_until(terminal, "")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    os.close(terminal)


def read_until(terminal, end):
    """What the terminal shows, up to `end`, or all of it."""
    shown = ""
    while not end or end not in shown:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:
            return shown
        if not chunk:
            return shown
        shown += chunk.decode(errors="replace")
    return shown
