"""What `assistant ask` does: put a question together, show the answer as it comes."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from assistant.cli.options import file_and_lines
from assistant.cli.output import print_context, print_json
from assistant.cli.session import hold
from assistant.cli.targets import piped, project_text, target_turn
from assistant.cli.terminal import answer_printer, printable
from assistant.commands import Command, command
from assistant.document import Document, load
from assistant.edits import region_of
from assistant.errors import UsageError
from assistant.gathering import Gathered, gather, secret_note
from assistant.lines import split_lines
from assistant.turn import Turn

CUT = {
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
        attachments=_attached(options.file),
        piped=piped(),
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        instructions=project_text(Path(options.file[0]), options) if options.file else "",
    )
    if not (turn.question.strip() or turn.piped.strip()):
        raise UsageError("There is no question.", 'Ask one: assistant ask "How do I reverse a list in Python?"')
    return _answer(turn, options)


def _attached(names: Sequence[str]) -> tuple[Document, ...]:
    """The files, folders and lines of files that are named, with what there is to say about them."""
    documents: list[Document] = []
    for name in names:
        path, lines = file_and_lines(name)
        gathered = gather((name,)) if lines is None else Gathered((_cut_out(path, lines),), secret_note(path))
        documents += gathered.documents
        for note in gathered.notes:
            print(printable(note), file=sys.stderr)
    return tuple({document.path: document for document in documents}.values())


def _cut_out(path: Path, lines: tuple[int, int]) -> Document:
    document = load(path)
    region = region_of(document, lines)
    text = "".join(split_lines(document.text)[region.start : region.end])
    return Document(path.with_name(f"{path.name}:{lines[0]}-{lines[1]}"), text, language=document.language)


def about_file(row: Command, options: argparse.Namespace) -> int:
    """Carry out a command that answers about `options.target`; returns the exit code."""
    return _answer(target_turn(row, options), options)


def _answer(turn: Turn, options: argparse.Namespace) -> int:
    if options.show_context:
        return print_context(turn)
    held = asyncio.run(hold(turn, options, None if options.json else answer_printer(stream=not options.no_stream)))
    if options.json:
        print_json(held)
    if held.answer.finish_reason in CUT:
        print(f"assistant: {CUT[held.answer.finish_reason]}", file=sys.stderr)
    return 0
