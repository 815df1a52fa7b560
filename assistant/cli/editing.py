"""What commands that edit a file do: ask the model, show the change, make it where the user agrees."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from assistant.answer import Answer
from assistant.check import Checked, Plan, refuse_unverified
from assistant.cli.checks import agreed_to_unverified, outcome_of, plan_of
from assistant.cli.choosing import chosen
from assistant.cli.output import print_context, print_json
from assistant.cli.session import Held, hold
from assistant.cli.targets import target_turn
from assistant.cli.terminal import print_diff, printable
from assistant.commands import Command
from assistant.document import Document, check_writable, load, write
from assistant.edits import EditPlan, unified_diff
from assistant.errors import AssistantError, NoEdit
from assistant.rebase import rebase
from assistant.turn import Turn


def edit(row: Command, options: argparse.Namespace) -> int:
    """Carry the command `row` out on `options.target`; returns the exit code.

    Raises:
        NoEdit: the model's answer held no safe change; the answer has been shown.
        EditConflict: the file was changed meanwhile.
        AssistantError: whatever kept the model from answering.
    """
    turn = target_turn(row, options)
    document = turn.document
    assert document is not None and document.path is not None  # it was read from a file
    if options.show_context:
        return print_context(turn)
    if (options.write or options.yes) and not options.diff:
        check_writable(document)
    held = asked(turn, options, plan_of(options, document.path))
    assert held.answer.edit is not None  # a command that edits gives a plan or raises NoEdit
    diff = unified_diff(document, held.answer.edit)
    applied = False
    try:
        plan = _agreed(document, held.answer.edit, options, held.checked)
        applied = bool(plan.changes) and _applied(document, replace(held.answer, edit=plan))
    finally:  # what was answered is not lost where it cannot be written
        if options.json:
            print_json(held, edit={"path": str(document.path), "diff": diff, "applied": applied, **outcome_of(held.checked)})
    if held.checked is not None and not applied:
        refuse_unverified(held.checked)
    return 0


def asked(turn: Turn, options: argparse.Namespace, plan: Plan | None = None) -> Held:
    """Carry the turn out; a reply that cannot be used is shown, since it may be worth reading.

    Raises:
        AssistantError: whatever kept the model from answering, or its answer from being used.
    """
    try:
        return asyncio.run(hold(turn, options, None, plan))
    except NoEdit as refusal:
        show_reply(refusal.reply)
        raise


@contextmanager
def shown_if_lost(text: str, options: argparse.Namespace) -> Iterator[None]:
    """Show a finished answer that can be written nowhere; `--json` prints it anyhow."""
    try:
        yield
    except AssistantError:
        if not options.json:
            show_reply(text)
        raise


def show_reply(text: str) -> None:
    """A reply that was not used; on standard error, so that nothing takes it for a change."""
    if text.strip():
        print(f"{printable(text).rstrip()}\n", file=sys.stderr)


def _agreed(document: Document, plan: EditPlan, options: argparse.Namespace, checked: Checked | None) -> EditPlan:
    """Show the plan; what is returned is as much of it as is to be made: said beforehand, or asked now."""
    doubtful = checked is not None and checked.verified is False and not options.diff
    asks = not (options.diff or options.write or options.yes or options.json) and sys.stdin.isatty()
    if asks and not doubtful:
        agreed = chosen(document, plan)
        if not agreed.changes:
            print("assistant: Nothing was changed.", file=sys.stderr)
        return agreed
    if not options.json:
        print_diff(unified_diff(document, plan))
    if doubtful:
        return plan if agreed_to_unverified(options) else EditPlan(())
    if (options.write or options.yes) and not options.diff:
        return plan
    if not options.diff:
        print("assistant: Nothing was changed, since nobody is there to ask. Make the change with --write.", file=sys.stderr)
    return EditPlan(())


def _applied(document: Document, answer: Answer) -> bool:
    """Write the change, carried over what has been saved meanwhile beside the region."""
    assert document.path is not None and answer.edit is not None and answer.region is not None
    now, plan = load(document.path), answer.edit
    if now.text != document.text:
        plan = rebase(plan, answer.region, document.text, now.text)
        print("assistant: The file was saved meanwhile; the change was carried over.", file=sys.stderr)
    write(now, plan.apply(now.text))
    print(printable(f"Changed {document.path}."), file=sys.stderr)
    return True
