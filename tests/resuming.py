"""A plugin of pytest that makes `make soak` resume: what has passed is not run again until the code changes.

Each test that passes is written down at once in `.soak/passed.jsonl`, with the time it took, so that a run which is stopped, or
killed, goes on where it was.  A change of any source file, or of the counts, makes everything run again.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

SOURCES = ("assistant", "server", "training", "tests")
ENDINGS = {".py", ".md", ".toml", ".json", ".js"}


class Resuming:
    """What passed earlier with this very code, and what passes now."""

    def __init__(self, root: Path) -> None:
        self.file = root / ".soak" / "passed.jsonl"
        self.code = fingerprint(root)
        self.earlier = {row["test"] for row in _rows(self.file) if row["code"] == self.code}
        self.left_out = 0
        self._parts: dict[str, list[pytest.TestReport]] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        done = [item for item in items if item.nodeid in self.earlier]
        self.left_out = len(done)
        if done:
            config.hook.pytest_deselected(items=done)
            items[:] = [item for item in items if item.nodeid not in self.earlier]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        parts = self._parts.setdefault(report.nodeid, [])
        parts.append(report)
        if report.when == "teardown":
            del self._parts[report.nodeid]
            if len(parts) == 3 and all(part.outcome == "passed" for part in parts):
                self._note(report.nodeid, sum(part.duration for part in parts))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.left_out:
            terminalreporter.write_line(f"{self.left_out} passed earlier with this code and were not run again ({self.file}).")

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self.left_out:
            session.exitstatus = pytest.ExitCode.OK

    def _note(self, test: str, seconds: float) -> None:
        self.file.parent.mkdir(exist_ok=True)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"code": self.code, "test": test, "seconds": round(seconds, 2)}) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Resuming(config.rootpath), "what-passed")


def fingerprint(root: Path) -> str:
    """A digest of all sources and of how many rounds are asked for."""
    digest = hashlib.sha256(os.environ.get("STARCHAT_SCALE", "").encode())
    files = [path for folder in SOURCES for path in (root / folder).rglob("*") if path.suffix in ENDINGS and path.is_file()]
    for path in sorted([*files, *root.glob("pyproject.toml")]):
        digest.update(f"\0{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _rows(file: Path) -> list[dict[str, str]]:
    rows = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the last line of a run that was killed
        rows += [row] if isinstance(row, dict) and {"code", "test"} <= set(row) else []
    return rows
