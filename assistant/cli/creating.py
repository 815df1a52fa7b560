"""What commands that make a file do: ask the model, and write what it gives to where nothing lies."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from assistant.answer import Answer
from assistant.cli.editing import asked, shown_if_lost
from assistant.cli.output import print_context, print_json
from assistant.cli.targets import target_turn
from assistant.cli.terminal import print_text, printable
from assistant.commands import Command
from assistant.document import check_creatable
from assistant.document import create as create_file
from assistant.errors import EditConflict, UsageError
from assistant.languages import LANGUAGES, PLAIN, Language, language_named, language_of
from assistant.new_paths import path_beside


def create(row: Command, options: argparse.Namespace) -> int:
    """Carry the command `row` out on `options.target`; returns the exit code.

    Raises:
        InputError: there is a file already where the user wants the new one.
        StorageError: it cannot be written; the answer has been shown.
        NoEdit: the model's answer was no usable file; it has been shown.
        AssistantError: whatever kept the model from answering.
    """
    language = _language(row, options)
    turn = target_turn(row, options, language=language)
    assert turn.document is not None  # it was read from a file
    if language is not None and language == turn.document.language:
        raise UsageError(f"{turn.document.path} is in {language.name} already.", "Name another language: --to JavaScript.")
    if options.show_context:
        return print_context(turn)
    prints = options.output == "-"
    wanted = None if prints or options.output is None else Path(options.output)
    if not prints:
        check_creatable(wanted or path_beside(turn.document.path, "new"))
    held = asked(turn, options)
    answer = held.answer
    assert answer.code is not None and answer.path is not None  # a command that makes a file gives both or raises NoEdit
    written = None
    try:
        with shown_if_lost(answer.code, options):
            written = None if prints else _written(answer, wanted)
    finally:
        if options.json:
            print_json(held, file={"path": None if written is None else str(written)})
    if prints and not options.json:
        print_text(answer.code)
    if written is not None:
        lines = answer.code.count("\n")
        print(printable(f"Wrote {written} ({lines} {'line' if lines == 1 else 'lines'})."), file=sys.stderr)
    return 0


def _language(row: Command, options: argparse.Namespace) -> Language | None:
    """The language that `--to` names, or for want of it the ending of `--output`."""
    if row.makes != "translation":
        return None
    if options.to is None and options.output in (None, "-"):
        raise UsageError("It is not said into which language.", "Say it: --to JavaScript.")
    found = language_of(options.output) if options.to is None else language_named(options.to)
    if found in (None, PLAIN) and options.to is None:
        raise UsageError(f"{options.output} does not tell the language by its ending.", "Say it: --to JavaScript.")
    if found in (None, PLAIN):
        raise UsageError(f"There is no language {options.to!r}.", f"Known: {_known()}.")
    return found


def _known() -> str:
    return ", ".join(language.name for language in LANGUAGES if language != PLAIN)


def _written(answer: Answer, wanted: Path | None) -> Path:
    """Where the file lies now; where somebody took its name meanwhile, the next free one, unless the user chose it."""
    assert answer.code is not None and answer.path is not None
    path = wanted or answer.path
    while True:
        try:
            create_file(path, answer.code)
        except EditConflict:
            if wanted is not None:
                raise
            path = path_beside(answer.path, answer.path.name)
        else:
            return path
