"""What `assistant plot` does: ask for a script, show it, run it where the user agrees, save the picture."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from assistant.answer import Answer
from assistant.cli.editing import show_reply
from assistant.cli.output import print_context, print_json
from assistant.cli.session import Held, connected, show
from assistant.cli.terminal import Progress, confirm, printable
from assistant.document import create
from assistant.errors import AssistantError, EditConflict, InputError, NoEdit, StorageError, UsageError
from assistant.new_paths import path_beside
from assistant.plotting import Drawn, check_drawable, drawn, plot_turn
from assistant.sandbox import check_available
from assistant.tables import Table, read_table
from assistant.turn import Turn, take

PICTURE = "plot.png"


def draw(options: argparse.Namespace) -> int:
    """Carry `assistant plot` out; returns the exit code.

    Raises:
        UsageError: the options make no sense together, or the packages that draw are missing.
        NoEdit: the model gave no script, or none that runs; it has been shown.
        AssistantError: whatever kept the model from answering, or the script from being run.
    """
    _check(options)
    table = read_table(Path(options.data)) if options.data else None
    turn = plot_turn(options.question, table)
    if options.show_context:
        return print_context(turn)
    held, outcome = asyncio.run(_carried_out(turn, options, table))
    if outcome is None:
        return _give_script(held, options)
    if not outcome.pictures:
        print_json_of(held, (), outcome, options)
        show_reply(outcome.failure)
        tried = f", after {outcome.repairs} repairs too" if outcome.repairs else ""
        raise NoEdit(f"The script failed{tried}.", "Say it in other words, or draw less at once.")
    paths = _saved(outcome.pictures, options)
    print_json_of(held, paths, outcome, options)
    repaired = {0: "", 1: " (after one repair)"}.get(outcome.repairs, f" (after {outcome.repairs} repairs)")
    print(f"Drew {', '.join(map(str, paths))}{repaired}.", file=sys.stderr)
    return 0


def print_json_of(held: Held, paths: Sequence[Path], outcome: Drawn | None, options: argparse.Namespace) -> None:
    """The answer for programs, where they asked for it."""
    if options.json:
        drew: dict[str, object] = {"paths": [str(path) for path in paths], "repairs": outcome.repairs if outcome else None}
        drew["figures"] = json.loads(outcome.description) if outcome and outcome.description else []
        print_json(held, plot=drew)


def _check(options: argparse.Namespace) -> None:
    if not options.question.strip():
        raise UsageError("It is not said what to draw.", 'Say it: assistant plot "a bar chart of 3, 5 and 8".')
    if options.unsandboxed and not options.runs:
        raise UsageError("--unsandboxed belongs to --run.", "Add --run, or leave it out.")
    if options.output:
        path = Path(options.output)
        wanted = ".png" if options.runs else ".py"
        if path.suffix.lower() != wanted:
            what = "a picture, in PNG" if options.runs else "a script; a picture needs --run"
            raise UsageError(f"What is written is {what}.", f"Name it with {wanted}: -o {path.stem or 'plot'}{wanted}.")
        if os.path.lexists(path):
            raise InputError(f"{path} is there already.", "Choose another name with -o; no file is ever written over.")
        if not path.parent.is_dir():
            raise InputError(f"There is no folder {path.parent}.", "Make it first, or choose another name with -o.")
    if options.runs:
        check_drawable()
        if not options.unsandboxed:
            check_available()


async def _carried_out(turn: Turn, options: argparse.Namespace, table: Table | None) -> tuple[Held, Drawn | None]:
    """The script, and what became of it where it was run."""
    progress = Progress()
    try:
        async with connected(options, progress) as client:
            try:
                answer = await show(take(turn, client), None, progress)
            except NoEdit as refusal:
                show_reply(refusal.reply)
                raise
            assert isinstance(answer, Answer)
            progress.clear()
            if not options.runs or not _agreed(answer, options):
                return Held(answer, client.profile.name), None
            steps = drawn(turn, answer, client, table, confined=not options.unsandboxed)
            outcome = await show(steps, None, progress)
            assert isinstance(outcome, Drawn)
            return Held(outcome.answer, client.profile.name), outcome
    finally:
        progress.clear()


def _agreed(answer: Answer, options: argparse.Namespace) -> bool:
    """Whether the script may be run: said beforehand, or asked now that it can be read."""
    if options.yes:
        return True
    if options.json or not sys.stdin.isatty():
        print("assistant: It was not run, since nobody is there to ask. Run it with -y.", file=sys.stderr)
        return False
    print(printable(answer.code or ""))
    where = "WITHOUT a sandbox" if options.unsandboxed else "in the sandbox"
    return confirm(f"Run this script {where}?", default=not options.unsandboxed)


def _give_script(held: Held, options: argparse.Namespace) -> int:
    code = held.answer.code or ""
    if options.output and not options.runs:
        create(Path(options.output), code)
        print(f"Wrote {options.output}.", file=sys.stderr)
    elif not options.json:
        sys.stdout.write(code)
    print_json_of(held, (), None, options)
    return 0


def _saved(pictures: Sequence[bytes], options: argparse.Namespace) -> list[Path]:
    """Where the pictures lie now: new files, always; of several, all but the first get a number."""
    first = Path(options.output) if options.output else path_beside(None, PICTURE)
    others = (path_beside(first, f"{first.stem}-{number}.png") for number in range(2, len(pictures) + 1))
    paths = [first, *others]
    for path, picture in zip(paths, pictures, strict=True):
        try:
            with path.open("xb") as file:
                file.write(picture)
        except FileExistsError as error:
            raise EditConflict(f"{path} was made by somebody else meanwhile.", "Choose another name with -o.") from error
        except OSError as error:
            raise _storage(path, error) from error
    return paths


def _storage(path: Path, error: OSError) -> AssistantError:
    return StorageError(f"{path} cannot be written: {error.strerror}.", "Choose another folder with -o.")
