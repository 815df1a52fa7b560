"""What `assistant ask` does: put a question together, show the answer as it comes."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from assistant.cli.options import file_and_lines
from assistant.cli.output import print_context, print_json
from assistant.cli.session import hold
from assistant.cli.terminal import answer_printer
from assistant.commands import Command, command
from assistant.document import load
from assistant.edits import region_of
from assistant.errors import UsageError
from assistant.languages import Language
from assistant.turn import Turn

_CUT = {
    "length": "The answer was cut off at its token limit. Allow more with --max-tokens, or ask for less.",
    "loop": "The answer was cut off because it began to repeat itself. Ask in other words.",
    "cancelled": "The answer was cut off because the model host was stopped. Ask again.",
}


def ask(options: argparse.Namespace) -> int:
    """Ask, and print the answer; returns the exit code.

    Raises:
        UsageError: there is no question.
        AssistantError: whatever kept the model from answering.
    """
    turn = Turn(
        command("ask"),
        question=options.question,
        attachments=tuple(load(Path(name)) for name in options.file),
        piped=_piped(),
        max_tokens=options.max_tokens,
        temperature=options.temperature,
    )
    if not (turn.question.strip() or turn.piped.strip()):
        raise UsageError("There is no question.", 'Ask one: assistant ask "How do I reverse a list in Python?"')
    return _answer(turn, options)


def about_file(row: Command, options: argparse.Namespace) -> int:
    """Carry out a command that answers about `options.target`; returns the exit code."""
    return _answer(target_turn(row, options), options)


def target_turn(row: Command, options: argparse.Namespace, language: Language | None = None) -> Turn:
    """The turn about the file and lines that the user named.

    Raises:
        UsageError: the command needs words of the user's own, and has none.
        InputError: the file cannot be used.
    """
    path, lines = file_and_lines(options.target)
    question = getattr(options, "question", "")
    if row.takes("question") and not question.strip():
        raise UsageError(f"`{row.name}` needs to be told what to do.", f'Say it: assistant {row.name} {options.target} "…"')
    document = load(path)
    region_of(document, lines)  # refuses a range that the file has not, before a model is looked for
    return Turn(
        row,
        question=question,
        document=document,
        lines=lines,
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        language=language,
    )


def _answer(turn: Turn, options: argparse.Namespace) -> int:
    if options.show_context:
        return print_context(turn)
    held = asyncio.run(hold(turn, options, None if options.json else answer_printer(stream=not options.no_stream)))
    if options.json:
        print_json(held)
    if held.answer.finish_reason in _CUT:
        print(f"assistant: {_CUT[held.answer.finish_reason]}", file=sys.stderr)
    return 0


def _piped() -> str:
    """What a pipe or a file brings on standard input; nothing where that is a terminal."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return ""
    try:
        return sys.stdin.buffer.read().decode("utf-8", errors="replace")
    except OSError:  # open for writing only
        return ""
