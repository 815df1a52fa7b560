"""What a command is about: the file and lines that the user named, or those that a piped report names."""

from __future__ import annotations

import argparse
import select
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from assistant import aiming
from assistant.cli.options import file_and_lines, settings_from
from assistant.cli.terminal import printable
from assistant.commands import Command
from assistant.context import shown_path
from assistant.document import Document, load
from assistant.edits import region_of
from assistant.errors import InputError, UsageError
from assistant.gathering import secret_note
from assistant.instructions import instructions_for
from assistant.languages import Language
from assistant.reports import Report, read_report
from assistant.turn import Turn

_QUIET_SECONDS = 3.0


def target_turn(row: Command, options: argparse.Namespace, language: Language | None = None) -> Turn:
    """The turn about the file and lines that the user named, or that a traceback or test run on standard input names.

    Raises:
        UsageError: the command needs words of the user's own, or a file, and has none.
        InputError: the file cannot be used, or the report names none.
    """
    question = getattr(options, "question", "")
    if row.takes("question") and not question.strip():
        raise UsageError(f"`{row.name}` needs to be told what to do.", f'Say it: assistant {row.name} {options.target} "…"')
    report = read_report(piped()) if row.takes("problems") else Report()
    path, lines = file_and_lines(options.target) if options.target else (_file_of(row, report), None)
    document = load(path)
    for note in secret_note(path) if options.target else ():
        print(printable(note), file=sys.stderr)
    region_of(document, lines)  # refuses a range that the file has not, before a model is looked for
    turn = Turn(
        row,
        question=question,
        document=document,
        lines=lines,
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        language=language,
        instructions=project_text(path, options),
    )
    return _aimed(turn, document, report) if report.sentences else turn


def project_text(place: Path, options: argparse.Namespace) -> str:
    """What the project around `place` asks of its code, for the prompt; empty where the user would rather not have it shown."""
    if getattr(options, "no_project", False) or not settings_from(options).project:
        return ""
    found = instructions_for(place)
    for note in found.notes:
        print(printable(note), file=sys.stderr)
    return found.text


def piped() -> str:
    """What a pipe or a file brings on standard input; nothing where that is a terminal.

    What is read there cannot be asked of the user any more, so questions go to the terminal itself, where there is one.
    """
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return ""
    _say_that_it_waits()
    try:
        text = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    except OSError:  # open for writing only
        return ""
    if text and sys.stdout.isatty() and sys.stderr.isatty():
        with suppress(OSError):
            sys.stdin = Path("/dev/tty").open(encoding="utf-8")  # noqa: SIM115 - it stays open to the end
    return text


def _say_that_it_waits() -> None:
    """A word to those who wonder, where nothing comes through the pipe and nobody closes it."""
    with suppress(OSError, ValueError):  # not every stream can be watched
        if not select.select([sys.stdin], [], [], _QUIET_SECONDS)[0]:
            print("Waiting for standard input … (without any: < /dev/null)", file=sys.stderr, flush=True)


def _file_of(row: Command, report: Report) -> Path:
    if not report.places:
        raise UsageError(
            f"It is not said which file `{row.name}` is about.",
            f"Name one, or pipe a traceback: pytest 2>&1 | assistant {row.name}",
        )
    path = aiming.file_of(report, Path.cwd())
    if path is None:
        raise InputError("The report names no file of this folder.", "Name the file yourself, or change into its project.")
    return path


def _aimed(turn: Turn, document: Document, report: Report) -> Turn:
    """The turn with what the report says, and with the lines it points to, unless the user chose some."""
    lines = turn.lines or aiming.lines_of(report, document)
    where = f", lines {lines[0]} to {lines[1]}" if lines else ""
    print(printable(f"From the report: {shown_path(document.path)}{where}: {report.sentences[-1]}"), file=sys.stderr)
    if report.left_out:
        print(f"{report.left_out:,} more sentences of the report are not shown to the model.", file=sys.stderr)
    return replace(turn, lines=lines, problems=aiming.sentences_for(report, document))
