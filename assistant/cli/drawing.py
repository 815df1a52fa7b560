"""What `assistant plot` does: ask for a script, show it, run it where the user agrees, save the picture."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from assistant.answer import Answer
from assistant.cli.editing import show_reply, shown_if_lost
from assistant.cli.output import print_context, print_json
from assistant.cli.session import Held, connected, show
from assistant.cli.terminal import Progress, confirm, print_text, printable
from assistant.document import check_creatable, create
from assistant.errors import NoEdit, UsageError
from assistant.gathering import secret_note
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
    for note in secret_note(Path(options.data)) if options.data else ():
        print(printable(note), file=sys.stderr)
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
    paths: list[Path] = []
    try:
        with shown_if_lost(held.answer.code or "", options):
            for path, picture in zip(_places(options), outcome.pictures, strict=False):
                create(path, picture)
                paths.append(path)
    finally:
        print_json_of(held, paths, outcome, options)
    repaired = {0: "", 1: " (after one repair)"}.get(outcome.repairs, f" (after {outcome.repairs} repairs)")
    print(printable(f"Drew {', '.join(map(str, paths))}{repaired}."), file=sys.stderr)
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
    if options.output or options.runs:
        check_creatable(Path(options.output) if options.output else path_beside(None, PICTURE))
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
    try:
        if options.output and not options.runs:
            with shown_if_lost(code, options):
                create(Path(options.output), code)
            print(printable(f"Wrote {options.output}."), file=sys.stderr)
        elif not options.json:
            print_text(code)
    finally:
        print_json_of(held, (), None, options)
    return 0


def _places(options: argparse.Namespace) -> Iterator[Path]:
    """Where pictures go: new files, always; of several, all but the first get a number."""
    first = Path(options.output) if options.output else path_beside(None, PICTURE)
    yield first
    yield from (path_beside(first, f"{first.stem}-{number}.png") for number in count(2))
