"""One check, run on a copy of the project with one file's text in its place, and what it said."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assistant.document import Document, encode
from assistant.errors import UsageError
from assistant.examples import Example
from assistant.project_copy import Copy, Project, copy_project
from assistant.sandbox import Job, Limits, Outcome, run

NONE_USABLE = 77
"""Exit status of the examples' runner where none can hold for any solution."""

EXAMPLE_SECONDS = 2.0

RUNNER = (sys.executable, "-P", "-m", "assistant.cage.examples")

_NOT_FOUND = (126, 127)
"""Exit statuses of a shell that cannot start a command."""

_MOST_LINES = 30
_MOST_CHARACTERS = 2000
_STOPPED = {
    "time": "did not end within {seconds:.0f} s",
    "memory": "took too much memory",
    "processes": "started too many processes",
    "output": "printed too much",
    "disk": "wrote too much",
    "cancelled": "was stopped",
}
_HELD = re.compile(r"^(\d+) of (\d+) examples hold\.$", re.MULTILINE)
_PASSED = re.compile(r"\b(\d+) (?:passed|passing|ok)\b")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check said of a text.

    unusable: it can say nothing about any text.  output: what it printed, as a person would see it.
    held: examples that hold, or tests that pass, where the output says so.
    """

    passed: bool
    unusable: bool
    sentence: str
    output: str
    held: int = 0
    ended: bool = True

    @property
    def score(self) -> tuple[int, bool]:
        """Larger is better, among those that do not pass."""
        return self.held, self.ended

    @property
    def shown(self) -> str:
        """For the model: how it ended and the end of what it printed, which is where tests say what failed."""
        lines = [line for line in self.output.splitlines() if line.strip()]
        text = "\n".join(lines[-_MOST_LINES:])[-_MOST_CHARACTERS:]
        return text if self.ended else f"{text}\nIt {self.sentence}".strip()


@dataclass(frozen=True, slots=True)
class Bench:
    """Where texts of one file are checked, one after the other.

    copy: the project as it was.  Each run gets a fresh copy of that, so that no check sees what another left behind.
    folder: what a run may write to.  file, start: relative to the project's top.
    """

    document: Document
    copy: Copy
    folder: Path
    file: Path
    start: Path
    command: tuple[str, ...] = ()
    shell: str = ""
    seconds: float = 60.0
    confined: bool = True

    def with_command(self, line: str) -> Bench:
        """The bench with a line for the shell as its check."""
        return replace(self, command=("/bin/sh", "-c", line), shell=line)

    def with_examples(self, examples: Sequence[Example]) -> Bench:
        """The bench with examples as its check."""
        listed = self.copy.root.parent / "examples.json"
        listed.write_text(json.dumps([(each.source, each.wanted) for each in examples]), encoding="utf-8")
        file = self._project / self.file
        return replace(self, command=(*RUNNER, str(file), str(listed), str(EXAMPLE_SECONDS)))

    async def verdict(self, text: str) -> Verdict:
        """What the check says when the file holds `text`.

        Raises:
            UsageError: the check cannot be started.
            SandboxError: it cannot be run safely here.
        """
        await asyncio.to_thread(self._lay_out, text)
        readable = (*self.copy.linked, self.copy.root.parent / "examples.json")
        start, limits = self._project / self.start, Limits(seconds=self.seconds)
        job = Job(self.command, self.folder, start, readable, self._environment(), limits, self.confined)
        outcome = await run(job)
        if self.shell and outcome.status in _NOT_FOUND and not outcome.stopped:
            raise UsageError(
                f"The check cannot be started: {_last(outcome.output) or shlex.quote(self.shell)}.", "Try it in a shell first."
            )
        return self._judged(outcome)

    def _environment(self) -> dict[str, str]:
        """Python finds the copy before the project itself, to which an editable installation would lead."""
        places = [self._project, *([self._project / "src"] if (self._project / "src").is_dir() else [])]
        return {"PYTHONPATH": os.pathsep.join(map(str, places))} if self.shell else {}

    @property
    def _project(self) -> Path:
        return self.folder / "project"

    def _lay_out(self, text: str) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.copy.root, self._project, symlinks=True)
        (self._project / self.file).parent.mkdir(parents=True, exist_ok=True)  # it may lie in an ignored folder
        (self._project / self.file).write_bytes(encode(self.document, text))

    def _judged(self, outcome: Outcome) -> Verdict:
        output = _CONTROL.sub("", outcome.output.replace(f"{self._project}/", "").replace(str(self._project), "."))
        held = _HELD.search(output)
        if outcome.stopped:
            sentence = _STOPPED[outcome.stopped].format(seconds=self.seconds) + "."
        elif outcome.passed:
            sentence = "the check passes."
        else:
            sentence = f"the check fails: {held[0] if held else _last(output) or f'status {outcome.status}'}"
        unusable = not self.shell and outcome.status == NONE_USABLE
        return Verdict(outcome.passed, unusable, sentence, output, _count(held, output), not outcome.stopped)


def bench_for(document: Document, project: Project, folder: Path) -> Bench:
    """A bench in `folder` for a document of the project.

    Raises:
        InputError: the project is too large.
        StorageError: it cannot be copied.
    """
    assert document.path is not None
    copy = copy_project(project, folder / "copy")
    file, start = document.path.resolve().relative_to(project.root), project.start.relative_to(project.root)
    return Bench(document, copy, folder / "run", file, start)


def _count(held: re.Match[str] | None, output: str) -> int:
    """Examples that hold; else tests that pass, by the last line that counts them, as pytest and others print one."""
    counts = [held[1]] if held else _PASSED.findall(output)
    return int(counts[-1]) if counts else 0


def _last(output: str) -> str:
    """The last line that says something."""
    lines = [line.strip(" =") for line in output.splitlines() if line.strip(" =")]
    return lines[-1][:200].rstrip(".") if lines else ""
