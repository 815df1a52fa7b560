"""What `assistant commit` does: ask for a message, print it, commit where the user agrees."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from assistant import staged
from assistant.cli.editing import asked
from assistant.cli.output import print_context, print_json
from assistant.cli.targets import project_text
from assistant.cli.terminal import confirm, printable
from assistant.commands import command
from assistant.turn import Turn


def commit(options: argparse.Namespace) -> int:
    """Print a message for what is staged; returns the exit code.

    Raises:
        InputError: nothing is staged, or there is no repository.
        NoMessage: the model's answer had not the form of a commit message; it has been shown.
        EditConflict: something else was staged meanwhile.
    """
    what = staged.staged(Path.cwd())
    turn = Turn(
        command("commit"),
        piped=what.diff,
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        instructions=project_text(what.root, options),
    )
    if options.show_context:
        return print_context(turn)
    for sentence in what.left_out:
        print(sentence, file=sys.stderr)
    held = asked(turn, options)
    message = held.answer.code
    assert message is not None  # a command that makes a message gives one or raises NoMessage
    if not options.json:
        print(printable(message), end="", flush=True)
    done = ""
    try:
        done = staged.commit(what, message) if _agreed(options) else ""
    finally:  # the message is not lost where git refuses
        if options.json:
            print_json(held, commit={"message": message, "committed": bool(done)})
    if done:
        print(printable(done), file=sys.stderr)
    return 0


def _agreed(options: argparse.Namespace) -> bool:
    """Whether to commit: said beforehand, or asked now; a pipe gets the message alone."""
    if options.write or options.yes:
        return True
    if options.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    agreed = confirm("Commit with this message?", default=False)
    if not agreed:
        print("assistant: Nothing was committed.", file=sys.stderr)
    return agreed
