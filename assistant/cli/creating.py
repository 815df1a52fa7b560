"""What commands that make a file do: ask the model, and write what it gives to where nothing lies."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from assistant.answer import Answer
from assistant.cli.editing import asked, show_reply
from assistant.cli.output import print_context, print_json
from assistant.cli.targets import target_turn
from assistant.commands import Command
from assistant.document import create as create_file
from assistant.errors import EditConflict, InputError, UsageError
from assistant.languages import LANGUAGES, PLAIN, Language, language_named, language_of
from assistant.new_paths import path_beside


def create(row: Command, options: argparse.Namespace) -> int:
    """Carry the command `row` out on `options.target`; returns the exit code.

    Raises:
        InputError: there is a file already where the user wants the new one.
        NoEdit: the model's answer was no usable file; it has been shown.
        AssistantError: whatever kept the model from answering.
    """
    turn = target_turn(row, options, language=_language(row, options))
    if options.show_context:
        return print_context(turn)
    wanted = None if options.output in (None, "-") else Path(options.output)
    if wanted is not None:
        _refuse_taken(wanted)
    held = asked(turn, options)
    answer = held.answer
    assert answer.code is not None and answer.path is not None  # a command that makes a file gives both or raises NoEdit
    written = None if options.output == "-" else _written(answer, wanted)
    if options.json:
        print_json(held, file={"path": None if written is None else str(written)})
    elif written is None:
        sys.stdout.write(answer.code)
    if written is not None:
        lines = answer.code.count("\n")
        print(f"Wrote {written} ({lines} {'line' if lines == 1 else 'lines'}).", file=sys.stderr)
    return 0


def _language(row: Command, options: argparse.Namespace) -> Language | None:
    """The language that `--to` names, or for want of it the ending of `--output`."""
    if row.makes != "translation":
        return None
    if options.to is None and options.output is None:
        raise UsageError("It is not said into which language.", "Say it: --to JavaScript.")
    found = language_of(options.output) if options.to is None else language_named(options.to)
    if found in (None, PLAIN):
        raise UsageError(f"There is no language {options.to or options.output!r}.", f"Known: {_known()}.")
    return found


def _known() -> str:
    return ", ".join(language.name for language in LANGUAGES if language != PLAIN)


def _refuse_taken(path: Path) -> None:
    if os.path.lexists(path):
        raise InputError(f"{path} is there already.", "Choose another name with -o; no file is ever written over.")
    if not path.parent.is_dir():
        raise InputError(f"There is no folder {path.parent}.", "Make it first, or choose another name with -o.")


def _written(answer: Answer, wanted: Path | None) -> Path:
    """Where the file lies now; where somebody took its name meanwhile, the next free one, unless the user chose it."""
    assert answer.code is not None and answer.path is not None
    path = wanted or answer.path
    while True:
        try:
            create_file(path, answer.code)
        except EditConflict:
            if wanted is not None:
                show_reply(answer.code)
                raise
            path = path_beside(answer.path, answer.path.name)
        else:
            return path
