"""A fix that is tried before it is offered: candidates of the model against the user's own check, on a copy of the project.

    Plan -> the check on the project as it is -> candidate after candidate -> Checked

The check runs in the sandbox.  What it prints is shown to the model, and to nobody else.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

from assistant.answer import Answer, Note
from assistant.candidates import Base, Candidate, Series, asked
from assistant.checking import Bench, Verdict, bench_for
from assistant.client import ModelClient
from assistant.document import Document
from assistant.edits import region_of
from assistant.errors import NoEdit, UsageError
from assistant.examples import examples_of
from assistant.project_copy import Project
from assistant.refusals import Unverified
from assistant.sandbox import check_available
from assistant.turn import Event, Turn, region_around, take

QUICK = 10.0
"""Seconds that a check may take if a candidate's changes are to be checked one by one."""

DOCTEST = "doctest"
"""In place of a command: the examples in the docstrings."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a fix is checked.

    command: a line for the shell, or `DOCTEST`.  samples: candidates at most.  seconds: for one run of the check.
    project: what is copied, and where the check starts.
    """

    command: str
    project: Project
    samples: int = 4
    seconds: float = 60.0
    confined: bool = True


@dataclass(frozen=True, slots=True)
class Checked:
    """How a checked fix ended.

    verified: True if the check failed before and passes with the answer's edit; False if no candidate makes it pass; None if it
    could not tell, for want of examples or because it passed before.
    tried: a sentence about each candidate.
    """

    answer: Answer
    verified: bool | None
    tried: tuple[str, ...] = ()


async def fix_checked(turn: Turn, plan: Plan, client: ModelClient) -> AsyncGenerator[Event | Checked]:
    """Look for a fix that makes the check pass; the last item is a `Checked`.

    Raises:
        NoEdit: no candidate was an edit.
        SandboxError: the check cannot be run safely here.
        UsageError: the check cannot be started.
        InputError: the project is too large to be copied.
        AssistantError: as `assistant.turn.take`.
    """
    if turn.document is None or turn.document.path is None:
        raise UsageError("A check needs a file.", "Save it first.")
    if plan.confined:
        check_available()
    folder = await asyncio.to_thread(_new_folder)
    try:
        yield Note("Running the check on the project as it is …")
        bench = await asyncio.to_thread(_bench, turn, turn.document, plan, folder)
        if bench and bench.copy.unreadable:
            yield Note(_missing(bench.copy.unreadable))
        before = await bench.verdict(turn.document.text) if bench else None
        steps = (
            _unchecked(turn, client)
            if bench is None or before is None or before.unusable
            else _search(turn, plan, client, bench, before)
        )
        async with aclosing(steps) as events:
            async for event in events:
                yield event
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _missing(unreadable: tuple[str, ...]) -> str:
    more = f" and {len(unreadable) - 3:,} more" if len(unreadable) > 3 else ""
    return f"The check runs without what cannot be read: {', '.join(unreadable[:3])}{more}."


def _new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="starchat-check-")).resolve()


def refuse_unverified(checked: Checked) -> None:
    """Refuse where the check failed before and still does.

    Raises:
        Unverified: with how many candidates were tried.
    """
    if checked.verified is False:
        count = len(checked.tried)
        raise Unverified(
            f"The check passes with none of {count} candidates; the best is shown, unverified."
            if count > 1
            else "The check does not pass with the candidate that is shown: it is unverified.",
            "Allow more with --samples, or take it as it is with --unverified.",
            checked.answer.text,
        )


def _bench(turn: Turn, document: Document, plan: Plan, folder: Path) -> Bench | None:
    """The project's copy with its check; None where there is nothing to check with."""
    examples = examples_of(document, region_of(document, turn.lines)) if plan.command == DOCTEST else ()
    if plan.command == DOCTEST and not examples:
        return None
    bench = replace(bench_for(document, plan.project, folder), seconds=plan.seconds, confined=plan.confined)
    return bench.with_examples(examples) if examples else bench.with_command(plan.command)


async def _unchecked(turn: Turn, client: ModelClient) -> AsyncGenerator[Event | Checked]:
    yield Note("The docstrings hold no examples that could be tried, so that nothing is checked.")
    async with aclosing(take(turn, client)) as events:
        async for event in events:
            yield Checked(event, None) if isinstance(event, Answer) else event


@dataclass
class _Found:
    """What the search has come upon: texts with the number of their candidates, and what was said of each.

    whole: candidates that were checked, not counting parts of them.
    """

    votes: dict[str, int] = field(default_factory=dict)
    judged: list[tuple[Candidate, Verdict]] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    whole: int = 0

    def note_part(self, sentence: str) -> Note:
        self.tried[-1] += f" One of its changes alone: {sentence}"
        return Note(self.tried[-1])

    def note(self, sentence: str) -> Note:
        self.tried.append(f"Candidate {len(self.tried) + 1}: {sentence}")
        return Note(self.tried[-1])

    def of(self, base: Base) -> list[Candidate]:
        """The candidates that are changes of `base`."""
        return [each for each, _ in self.judged if each.base == base]

    def best(self) -> Candidate:
        """The candidate with the most examples that hold, and of these the one that most candidates agree on."""
        return max(self.judged, key=lambda each: (each[1].score, self.votes[each[0].text]))[0]


async def _search(
    turn: Turn, plan: Plan, client: ModelClient, bench: Bench, before: Verdict
) -> AsyncGenerator[Event | Checked]:
    """Candidate after candidate until one passes; else the best."""
    yield _first_word(before, client)
    found = _Found()
    region = region_around(bench.document, turn.lines)
    base, shown = Base(bench.document.text, (region.start + 1, region.end), region), before
    series = Series(asked(turn, base, shown))
    refusal = NoEdit("No candidate was an edit.")
    while found.whole < plan.samples and (attempt := series.next(plan.samples, found.of(base))) is not None:
        try:
            async with aclosing(take(attempt, client)) as events:
                async for event in events:
                    if not isinstance(event, Answer):
                        yield event
                        continue
                    candidate = Candidate(event, bench.document, base)
        except NoEdit as error:
            refusal = error
            if not attempt.beginning.logprob:  # what the model hesitated over is often the same in other words
                yield found.note(f"no edit. {error.message}")
            continue
        found.votes[candidate.text] = found.votes.get(candidate.text, 0) + 1
        if found.votes[candidate.text] > 1 or candidate.text == bench.document.text:
            yield found.note("the same as one before.")
            continue
        began, verdict = time.monotonic(), await bench.verdict(candidate.text)
        found.judged.append((candidate, verdict))
        found.whole += 1
        yield found.note(verdict.sentence)
        if not verdict.passed and time.monotonic() - began < QUICK and candidate.parts:
            yield Note("Checking its changes one by one …")
            part = await _part(candidate, bench, max(shown.held, verdict.held), found)
            if part is not None:
                candidate, verdict = part
                yield found.note_part(verdict.sentence)
        if verdict.passed:
            yield Checked(candidate.whole, None if before.passed else True, tuple(found.tried))
            return
        if verdict.held > shown.held:  # one bug of several: go on from here
            base, shown = candidate.as_base, verdict
            series = Series(asked(turn, base, shown))
    if not found.judged:
        raise refusal
    yield Checked(found.best().whole, verified=False, tried=tuple(found.tried))


async def _part(candidate: Candidate, bench: Bench, held: int, found: _Found) -> tuple[Candidate, Verdict] | None:
    """The first of the candidate's changes that passes alone, or with which more than `held` examples hold."""
    for part in candidate.parts:
        if part.text not in found.votes:
            found.votes[part.text] = 1
            verdict = await bench.verdict(part.text)
            if verdict.passed or verdict.held > held:
                found.judged.append((part, verdict))
                return part, verdict
    return None


def _first_word(before: Verdict, client: ModelClient) -> Note:
    if before.passed:
        return Note("The check passes already: it does not show the bug, and cannot show that it is gone.")
    to = f" What it prints is sent to {client.profile.host}, too." if client.profile.remote else ""
    return Note(f"As it is, {'' if before.ended else 'the check '}{before.sentence}{to}")
