"""What `assistant history` does: one function for each of its subcommands."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from assistant.cli.output import as_json
from assistant.cli.terminal import answer_printer, confirm, print_text, printable
from assistant.errors import Cancelled, InputError, StorageError, UsageError
from assistant.history import erasing, exporting, records
from assistant.history.database import history_folder
from assistant.history.records import Entry, Summary
from assistant.history.searching import search

NOTHING = "No conversation is kept yet; `assistant chat` begins one."


def list_conversations(options: argparse.Namespace) -> int:
    """List conversations, the latest first."""
    found = records.listed(options.limit)
    if options.json:
        print(as_json({"conversations": [asdict(one) for one in found]}))
    elif not found:
        print(NOTHING)
    else:
        print_summaries(found)
    return 0


def search_conversations(options: argparse.Namespace) -> int:
    """Find conversations in which all words occur."""
    words = [f'"{word}"' if " " in word else word for word in options.words]
    hits = search(" ".join(words), options.limit)
    if options.json:
        print(as_json({"conversations": [{**asdict(hit.summary), "excerpt": hit.excerpt} for hit in hits]}))
        return 0
    if not hits:
        print("No conversation has all of these words.")
    for hit in hits:
        print_summaries((hit.summary,))
        if hit.excerpt:
            print(f"          {printable(hit.excerpt)}")
    return 0


def show(options: argparse.Namespace) -> int:
    """Show one conversation."""
    summary = named(options.name)
    entries = records.entries(summary.id)
    if options.json:
        print(as_json({**asdict(summary), "messages": [asdict(entry) for entry in entries]}))
        return 0
    printer = answer_printer(stream=False)
    for part in exporting.markdown(summary, entries):
        printer.write(part)
    printer.close()
    return 0


def delete(options: argparse.Namespace) -> int:
    """Delete conversations for good."""
    if (bool(options.names) + options.all + (options.older_than is not None)) != 1:
        raise UsageError("It is not clear what to delete.", "Name conversations, or give --older-than DAYS or --all.")
    if options.names:
        return _delete_named(options)
    count = erasing.older(options.older_than)
    _agree(f"{count} conversation(s) will be deleted for good.", yes=options.yes or not count)
    count = erasing.delete_all() if options.all else erasing.delete_older(options.older_than)
    if options.all:
        (history_folder() / "lines").unlink(missing_ok=True)
    print(f"Deleted {count} conversation(s).")
    return 0


def export(options: argparse.Namespace) -> int:
    """Write conversations as rows for training, or as Markdown."""
    chosen = [records.find(name) for name in options.names] or list(reversed(records.listed()))
    parts = _rows(chosen) if options.format == "jsonl" else _pages(chosen)
    if options.output is None:
        for part in parts:
            print_text(part)
        return 0
    count = write_new(Path(options.output), parts)
    print(f"Wrote {count} conversation(s) to {printable(options.output)}.", file=sys.stderr)
    return 0


def named(name: str | None) -> Summary:
    """The conversation of this name; without one the latest.

    Raises:
        InputError: there is none.
    """
    if name is not None:
        return records.find(name)
    for latest in records.listed(1):
        return latest
    raise InputError("No conversation is kept yet.", "`assistant chat` begins one.")


def print_summaries(summaries: tuple[Summary, ...]) -> None:
    """One line for each conversation: id, when it was last spoken in, how many messages, title."""
    for one in summaries:
        title = printable(one.title).replace("\n", " ").replace("\t", " ")
        print(f"{one.id}  {exporting.moment(one.updated)}  {one.messages:>4}  {title}")


def print_conversation(entries: Sequence[Entry]) -> None:
    """Messages as they are read on a terminal: the question after a mark, the answer as Markdown."""
    for entry in entries:
        if entry.role == "user":
            print(f"> {printable(entry.shown)}\n")
            continue
        printer = answer_printer(stream=False)
        printer.write(entry.content)
        printer.close()


def write_new(path: Path, parts: Iterator[str]) -> int:
    """Write a file that is not there yet, readable by its owner alone; returns the number of parts.

    Raises:
        InputError: there is a file of that name.
        StorageError: it cannot be written.
    """
    made = False
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            made = True
            return sum(1 for part in parts if file.write(part))
    except FileExistsError as error:
        raise InputError(f"{path} is there already.", "Choose another name.") from error
    except OSError as error:
        if made:
            path.unlink(missing_ok=True)  # half a file is none
        raise StorageError(f"{path} cannot be written: {error.strerror}.", "Choose another folder.") from error


def _delete_named(options: argparse.Namespace) -> int:
    chosen = {summary.id: summary for summary in map(records.find, options.names)}
    print_summaries(tuple(chosen.values()))
    _agree(f"{len(chosen)} conversation(s) will be deleted for good.", yes=options.yes)
    for name in chosen:
        erasing.delete(name)
    print(f"Deleted {len(chosen)} conversation(s).")
    return 0


def _agree(sentence: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(sentence, "Agree with -y.")
    if not confirm(f"{sentence} Go on?", default=False):
        raise Cancelled("Nothing was deleted.")


def _rows(chosen: list[Summary]) -> Iterator[str]:
    for summary in chosen:
        row = exporting.training_row(summary, records.entries(summary.id))
        if row is not None:
            yield f"{row}\n"


def _pages(chosen: list[Summary]) -> Iterator[str]:
    for number, summary in enumerate(chosen):
        yield ("\n" if number else "") + "".join(exporting.markdown(summary, records.entries(summary.id)))
