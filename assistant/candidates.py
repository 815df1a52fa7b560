"""What each candidate of a checked fix is asked for, and what is remembered of it.

The first is the likeliest reply.  Then comes what the model nearly wrote instead, the likeliest first: the prompt stays the
same, so that only the rest of the reply is computed.  Where nothing of that is left, the model is told what did not help.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from assistant.answer import Answer
from assistant.checking import Verdict
from assistant.diff import Hunk, hunks
from assistant.document import Document
from assistant.edits import plan_between
from assistant.hesitation import Hesitations
from assistant.languages import PYTHON, Language
from assistant.lines import body, split_lines
from assistant.region import Region
from assistant.suspicions import new_unknown_names
from assistant.syntax import problems
from assistant.turn import Turn

TEMPERATURE = 0.7
"""Of the candidates after the first two, which take the likeliest token."""

BEGUN = 2
"""Beginnings that are tried for each candidate wanted: many turn out as the same code in other words."""

MOST_PARTS = 4
"""A candidate of more changes is checked as a whole only."""

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
    def parts(self) -> tuple[Candidate, ...]:
        """Each of its changes alone, where it makes several: a model that is right in one place likes to go on changing."""
        old, new = split_lines(self.base.text), split_lines(self.text)
        single = [part for hunk in hunks(old, new) for part in _singly(hunk)]
        if not 1 < len(single) <= MOST_PARTS:
            return ()
        texts = ("".join([*old[: one.start], *new[one.new_start : one.new_end], *old[one.end :]]) for one in single)
        return tuple(self._with(text) for text in texts if _sound(text, self.base.text, self.document.language))

    def _with(self, text: str) -> Candidate:
        edit = plan_between(self.base.text, text)
        part = replace(self, answer=replace(self.answer, edit=edit))
        first, last = part.as_base.lines
        return replace(part, answer=replace(part.answer, code="".join(split_lines(text)[first - 1 : last])))

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


def _sound(text: str, base: str, language: Language) -> bool:
    """Whether a text parses as well as the one that it was made of, and uses no name that is defined nowhere."""
    if problems(text, language) and not problems(base, language):
        return False
    return language != PYTHON or not new_unknown_names(base, text)


def _singly(hunk: Hunk) -> tuple[Hunk, ...]:
    """Lines that replace as many others are changes of their own."""
    if hunk.end - hunk.start != hunk.new_end - hunk.new_start:
        return (hunk,)
    places = zip(range(hunk.start, hunk.end), range(hunk.new_start, hunk.new_end), strict=True)
    return tuple(Hunk(old, old + 1, new, new + 1) for old, new in places)


def asked(turn: Turn, base: Base, before: Verdict) -> Turn:
    """The turn of the first candidate, which takes the likeliest tokens; `before` is what the check says of `base`."""
    problems = () if before.passed else (f"The check fails:\n\n{before.shown}",)
    assert turn.document is not None
    return replace(
        turn,
        document=replace(turn.document, text=base.text),
        lines=base.lines,
        problems=(*turn.problems, *problems),
    )


@dataclass
class Series:
    """The turns of one base's candidates, one after the other; `first` is the first of them."""

    first: Turn
    _waiting: Hesitations | None = None
    _begun: int = 0
    _told: int = 0

    def next(self, samples: int, failed: Sequence[Candidate]) -> Turn | None:
        """The turn after those of `failed`; None where as many were tried as make sense for so many samples."""
        if self._waiting is None:
            self._waiting = Hesitations()
            return replace(self.first, waiting=self._waiting)
        beginning = self._waiting.next() if self._begun < BEGUN * samples else None
        if beginning is not None:
            self._begun += 1
            return replace(self.first, beginning=beginning, waiting=Hesitations())
        if self._told + 1 >= samples:
            return None
        self._told += 1
        return _told(self.first, self._told - 1, failed)


def _told(first: Turn, number: int, failed: Sequence[Candidate]) -> Turn:
    """The turn of a candidate that is told which changes did not help; `number` counts these from 0.

    The first explains before it writes, those after it are drawn, in turn without and with an explanation, by seeds of their
    own.
    """
    told = [f"It was tried already, and did not help: {each.change}." for each in failed if each.change]
    return replace(
        first,
        problems=(*first.problems, *told),
        explain=number % 2 == 0,
        waiting=Hesitations() if number % 2 else None,
        temperature=first.temperature if number == 0 else TEMPERATURE,
        seed=number,
    )
