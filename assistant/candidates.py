"""What each candidate of a checked fix is asked for, and what is remembered of it.

All candidates share the beginning of their prompt, which the model host keeps: only the last lines differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from assistant.answer import Answer
from assistant.checking import Verdict
from assistant.diff import hunks
from assistant.document import Document
from assistant.edits import plan_between
from assistant.lines import body, split_lines
from assistant.region import Region
from assistant.turn import Turn

TEMPERATURE = 0.7
"""Of the candidates after the first two, which take the likeliest token."""

MOST_CHANGED = 6
"""A change of more lines is not described to the model: it would be read as the code to write."""


@dataclass(frozen=True, slots=True)
class Base:
    """What candidates are changes of: a text, and the lines that they may touch, counted from 1.

    region: the same lines in the document, before anything was changed.
    """

    text: str
    lines: tuple[int, int]
    region: Region


@dataclass(frozen=True)
class Candidate:
    """An answer with an edit of a document."""

    answer: Answer
    document: Document
    base: Base

    @cached_property
    def text(self) -> str:
        """The document's text with all that was changed in it."""
        assert self.answer.edit is not None
        return self.answer.edit.apply(self.base.text)

    @property
    def whole(self) -> Answer:
        """The answer with an edit of the document itself, whatever it was based on."""
        return replace(self.answer, edit=plan_between(self.document.text, self.text), region=self.base.region)

    @property
    def as_base(self) -> Base:
        """What further candidates begin with: this one's text, and the lines of the region in it."""
        start, _ = self.base.lines
        grown = len(split_lines(self.text)) - len(split_lines(self.document.text))
        return Base(self.text, (start, start + len(self.base.region) - 1 + grown), self.base.region)

    @property
    def change(self) -> str:
        """The lines that go and come, for the model to read; empty where there are too many."""
        old, new = split_lines(self.base.text), split_lines(self.text)
        gone, come = [], []
        for hunk in hunks(old, new):
            gone += [body(line).strip() for line in old[hunk.start : hunk.end]]
            come += [body(line).strip() for line in new[hunk.new_start : hunk.new_end]]
        if len(gone) + len(come) > MOST_CHANGED:
            return ""
        return f"`{' '.join(gone)}` was changed to `{' '.join(come)}`"


def asked(turn: Turn, number: int, base: Base, before: Verdict, failed: Sequence[Candidate]) -> Turn:
    """The turn of candidate `number`, counted from 0; `before` is what the check says of `base`.

    The first takes the likeliest tokens, the second as well but explains first, those after them are drawn, in turn with and
    without an explanation, by seeds of their own.  Each is told what the check said and which changes did not help.
    """
    problems = list(turn.problems)
    if not before.passed:
        problems.append(f"The check fails:\n\n{before.shown}")
    problems += [
        f"It was tried already, and did not help: {each.change}." for each in failed if each.base == base and each.change
    ]
    assert turn.document is not None
    return replace(
        turn,
        document=replace(turn.document, text=base.text),
        lines=base.lines,
        problems=tuple(problems),
        explain=number % 2 == 1,
        temperature=turn.temperature if number < 2 else TEMPERATURE,
        seed=number,
    )
