"""From a model's code for a region to an exact edit of the document, or a refusal that says why not.

    region_of(document, lines) -> Region
    rewrite(document, region, code) -> EditPlan        steps 4 to 8 of the recipe, one function each:
        wash.washed          leaked fences, control words and thoughts at the edges
        placement.place      which lines of the code replace which lines of the document; echoed surroundings
        normalise.fitted     indentation, tabs, line ends, final newline
        elision.refuse       "... existing code ..."
        _checked             no change, or more syntax errors than before
        _changes             the smallest line diff

Whatever cannot be done for certain is refused with a `NoEdit` of `assistant.refusals`: text outside the region never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from assistant import diff, elision
from assistant.document import Document
from assistant.errors import InputError, UsageError
from assistant.lines import body, line_starts, split_lines
from assistant.normalise import fitted
from assistant.placement import Piece, place
from assistant.refusals import BrokenSyntax, Elided, NoChange, NoCode, Problem, Truncated, Unclear
from assistant.region import Region
from assistant.syntax import problems
from assistant.wash import refuse_hidden, washed

__all__ = [
    "BrokenSyntax",
    "Change",
    "EditPlan",
    "Elided",
    "NoChange",
    "NoCode",
    "Problem",
    "Region",
    "Truncated",
    "Unclear",
    "region_of",
    "rewrite",
    "unified_diff",
]


@dataclass(frozen=True, slots=True)
class Change:
    """`text` takes the place of the characters from `start` to `end` (excluded) of the document's text."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class EditPlan:
    """Changes of one text, in order and apart from each other; offsets count characters of the text before the edit.

    Raises:
        UsageError: the changes overlap or are out of order.
    """

    changes: tuple[Change, ...]

    def __post_init__(self) -> None:
        backwards = any(change.start > change.end or change.start < 0 for change in self.changes)
        if backwards or any(first.end > second.start for first, second in pairwise(self.changes)):
            raise UsageError("The changes of an edit overlap or are out of order.", "This is a defect; please report it.")

    def apply(self, text: str) -> str:
        """`text`, which must be the one that the plan was made for, with the changes made."""
        if self.changes and self.changes[-1].end > len(text):
            raise UsageError("The edit reaches past the end of the text.", "It was made for another text.")
        kept, place = [], 0
        for change in self.changes:
            kept += [text[place : change.start], change.text]
            place = change.end
        return "".join(kept) + text[place:]

    def inverse(self, text: str) -> EditPlan:
        """The plan that makes `text`, which must be the one before the edit, of the text after it."""
        shift, back = 0, []
        for change in self.changes:
            start = change.start + shift
            back.append(Change(start, start + len(change.text), text[change.start : change.end]))
            shift += len(change.text) - (change.end - change.start)
        return EditPlan(tuple(back))

    def changed_lines(self, text: str) -> tuple[int, int]:
        """How many lines of `text` the plan takes out, and how many it puts in."""
        found = diff.hunks(split_lines(text), split_lines(self.apply(text)))
        return sum(hunk.end - hunk.start for hunk in found), sum(hunk.new_end - hunk.new_start for hunk in found)


def region_of(document: Document, lines: tuple[int, int] | None) -> Region:
    """The region of whole lines, with their line ends, from line `lines[0]` to line `lines[1]` (from 1, both included).

    None means the whole document.  A final newline ends the last line; it does not begin another.

    Raises:
        InputError: a number is below 1, they are reversed, or the document has fewer lines; the message says how many it has.
    """
    count = len(split_lines(document.text))
    if lines is None:
        return Region(0, count)
    first, last = lines
    name = document.path.name if document.path else "The text"
    if first < 1 or last < 1:
        raise InputError(f"Lines count from 1; {first}-{last} is no range.", f"{name} has {_lines(count)}.")
    if first > last:
        raise InputError(f"The range {first}-{last} is reversed.", f"Write {last}-{first}.")
    if last > count:
        raise InputError(f"{name} has {_lines(count)}; the range {first}-{last} ends past the last.", f"Use 1-{count} at most.")
    return Region(first - 1, last)


def rewrite(document: Document, region: Region, code: str) -> EditPlan:
    """The smallest edit that puts `code`, a model's answer for `region`, into the document.

    Raises:
        NoCode: the code is empty, or is for something else than the region.
        Unclear: it cannot be told for certain what of it belongs into the region.
        HiddenCharacters: it holds some that the document has not.
        Elided: it leaves code out.
        NoChange: it is what stands there already.
        BrokenSyntax: the document would have more syntax errors than before.
    """
    lines = split_lines(document.text)
    clean = washed(code, lines[region.start : region.end], document.language)
    if not clean:
        raise NoCode("The answer's code is empty.", "Ask again, or delete the lines yourself if that was meant.", code)
    refuse_hidden("\n".join(clean), document.text, code)
    pieces = place(document, region, clean)
    after = _assembled(document, lines, pieces, code)
    return _checked(document, after, code)


def plan_between(old: str, new: str) -> EditPlan:
    """The smallest edit that makes `new` of `old`."""
    return EditPlan(tuple(_changes(split_lines(old), split_lines(new))))


def unified_diff(document: Document, plan: EditPlan, root: Path | None = None) -> str:
    """The plan as a unified diff with `a/` and `b/` names relative to `root` (the current folder), for `git apply` or `patch`.

    Of a file that is not in UTF-8 it shows the text, which those tools cannot apply.
    """
    return diff.unified(document.text, plan.apply(document.text), _relative(document.path, root or Path.cwd()))


def _assembled(document: Document, lines: list[str], pieces: Iterable[Piece], code: str) -> list[str]:
    """The document's lines with every piece in its place."""
    after, place = [], 0
    for piece in pieces:
        old = lines[piece.region.start : piece.region.end]
        new = fitted(document, piece)
        elision.refuse(new, old, document.language, code)
        after += [*lines[place : piece.region.start], *new]
        place = piece.region.end
    return after + lines[place:]


def _checked(document: Document, after: Sequence[str], code: str) -> EditPlan:
    text = "".join(after)
    if text == document.text:
        raise NoChange("The answer changes nothing.", "Say what is wrong, or ask again in other words.", code)
    before, now = problems(document.text, document.language), problems(text, document.language)
    if len(now) > len(before):
        new = next((problem for problem in now if problem not in before), now[0])
        raise BrokenSyntax(
            f"The answer would break the syntax at line {new.line + 1}: {new.message}.",
            "Nothing was changed; ask again, or choose a whole function.",
            code,
            new,
        )
    return plan_between(document.text, text)


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    starts = line_starts(old)
    for hunk in diff.hunks(old, new):
        removed, added = "".join(old[hunk.start : hunk.end]), "".join(new[hunk.new_start : hunk.new_end])
        start, end = starts[hunk.start], starts[hunk.end]
        if removed and added.startswith(removed):  # lines after a last line without a line end
            start, added = end, added[len(removed) :]
        elif added and removed.startswith(added) and not body(removed[len(added) :][:1]):
            start, added = start + len(added), ""
        yield Change(start, end, added)


def _relative(path: Path | None, root: Path) -> str:
    if path is None:
        return "untitled"
    absolute = path.absolute()
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else path.name


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"
