"""Asking before a download, and showing how it goes; shared by every command that may need a model."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from assistant.errors import ConsentNeeded
from assistant.models.offers import Offer, Progress, size_text

_WORDS = {
    "waiting": "Waiting for another download of the same model",
    "download": "Downloading",
    "join": "Joining the parts",
    "check": "Checking",
}
_PLAIN_EVERY = 5.0
"""Seconds between two lines where the output is not a terminal."""


def consent_of(options: argparse.Namespace) -> Callable[[Offer], bool]:
    """How to ask for consent under these options: `-y` agrees beforehand."""
    return agree if options.yes else ask_consent


def agree(offer: Offer) -> bool:
    """Show the offer, and go ahead."""
    print(describe(offer), file=sys.stderr)
    return True


def ask_consent(offer: Offer) -> bool:
    """Show the offer and ask.

    Raises:
        ConsentNeeded: nobody is there to answer; the remedy is the command that says yes.
    """
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConsentNeeded(
            f"{offer.name} has to be downloaded first ({size_text(offer.bytes)}, licence {offer.licence}).",
            f"Agree with: assistant models pull {offer.name} -y.",
        )
    print(describe(offer), file=sys.stderr)
    print("Download it? [Y/n] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    return answer != "" and answer.strip().lower() in ("", "y", "yes")


def describe(offer: Offer) -> str:
    """The offer in a few lines."""
    restrictions = f" ({offer.restrictions})" if offer.restrictions else ""
    return "\n".join(
        (
            f"Model    {offer.title} [{offer.name}]",
            f"Size     {size_text(offer.bytes)} to download",
            f"Licence  {offer.licence}{restrictions}",
            f"Source   {offer.source}",
            f"Folder   {offer.folder} ({size_text(offer.free_bytes)} free)",
        )
    )


@contextmanager
def show_progress() -> Iterator[Callable[[Progress], None]]:
    """Give what `prepare` reports to: a bar on a terminal, a plain line every few seconds otherwise."""
    if not sys.stderr.isatty():
        yield _plain_lines()
        return
    with _bar() as report:
        yield report


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich import progress
    from rich.console import Console

    bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    tasks: dict[str, progress.TaskID] = {}

    def report(state: Progress) -> None:
        if state.stage == "note":
            bar.console.print(state.text, style="yellow", markup=False, highlight=False, soft_wrap=True)
            return
        if not tasks:
            bar.start()
        if state.stage not in tasks:
            for task in tasks.values():
                bar.update(task, visible=False)
            tasks[state.stage] = bar.add_task(_WORDS[state.stage], total=state.total or None)
        bar.update(tasks[state.stage], completed=state.done, total=state.total or None)

    try:
        yield report
    finally:
        bar.stop()


def _plain_lines() -> Callable[[Progress], None]:
    shown = ""
    at = 0.0

    def report(state: Progress) -> None:
        nonlocal shown, at
        if state.stage == "note":
            print(state.text, file=sys.stderr, flush=True)
            return
        now = time.monotonic()
        if state.stage == shown and now - at < _PLAIN_EVERY:
            return
        shown, at = state.stage, now
        amount = f": {size_text(state.done)} of {size_text(state.total)}" if state.total else ""
        print(f"{_WORDS[state.stage]}{amount}", file=sys.stderr, flush=True)

    return report
