"""A piece of code in the document's own manner: indentation, tabs or spaces, line ends, final newline."""

from __future__ import annotations

from collections.abc import Sequence

from assistant import diff
from assistant.document import Document
from assistant.indentation import in_style, realigned, unit_of_region
from assistant.lines import body, common_end, end, indent, is_blank, split_lines
from assistant.placement import Piece
from assistant.syntax import problems, string_lines


def fitted(document: Document, piece: Piece) -> list[str]:
    """The lines of `piece`, each with its line end, as they will stand in the document.

    Lines that the region has already keep its bytes: their line ends, and trailing blanks that a model drops.
    """
    lines = split_lines(document.text)
    old = lines[piece.region.start : piece.region.end]
    styled = in_style(piece.lines, old, lines, document.language)
    candidates = [_shifted(styled, old, shift, document) for shift in _shifts(styled, old, lines[: piece.region.start])]
    if styled != piece.lines:
        unit = unit_of_region(old, lines)
        candidates = [realigned(candidate, [body(line) for line in old], unit) for candidate in candidates]
    around = (lines[: piece.region.start], lines[piece.region.end :])
    ended = [_with_ends(candidate, old, around, common_end(old if any(map(end, old)) else lines)) for candidate in candidates]
    if len(ended) == 1:
        return ended[0]
    return min(ended, key=lambda new: len(problems("".join([*around[0], *new, *around[1]]), document.language)))


def _shifts(code: Sequence[str], old: Sequence[str], before: Sequence[str]) -> list[str]:
    """By what each line may have to be moved, the likeliest first: `"+    "` to the right, `"-    "` to the left.

    The first lines' depths tell; where moving by the least depths of both would be another shift, the syntax decides.
    """
    mine = [indent(line) for line in code if not is_blank(line)]
    theirs = [indent(body(line)) for line in old if not is_blank(line)]
    if not theirs:  # blank lines are replaced: their own depth, or that of the line above
        above = next((indent(line) for line in reversed(before) if not is_blank(line)), "")
        return list(dict.fromkeys(("+", _shift("", above if not mine[0] else mine[0]))))
    if mine[0] == theirs[0]:
        return ["+"]
    least = _shift(min(mine, key=len), min(theirs, key=len))
    return list(dict.fromkeys((_shift(mine[0], theirs[0]), least, "+")))


def _shift(mine: str, theirs: str) -> str:
    if theirs.startswith(mine):
        return "+" + theirs[len(mine) :]
    return "-" + mine[len(theirs) :] if mine.startswith(theirs) else "+"


def _shifted(code: Sequence[str], old: Sequence[str], shift: str, document: Document) -> list[str]:
    """`code` moved by `shift`; blank lines stay, and so does the inside of a string that is in the region as it is."""
    if shift in "+-":
        return list(code)
    inside = string_lines("\n".join(code), document.language)
    own = {body(line).rstrip() for line in old}
    return [_moved(line, shift, line.rstrip() in own if n in inside else False, own) for n, line in enumerate(code)]


def _moved(line: str, shift: str, stays: bool, own: set[str]) -> str:
    if is_blank(line):
        return line
    moved = shift[1:] + line if shift[0] == "+" else line.removeprefix(shift[1:])
    return line if stays and moved.rstrip() not in own else moved


def _with_ends(code: Sequence[str], old: Sequence[str], around: tuple[list[str], list[str]], usual: str) -> list[str]:
    """`code` with line ends, and lines that are old but for trailing blanks with the old bytes."""
    code = [*_blank_edge(old), *code, *_blank_edge(old[::-1])[::-1]] if not all(map(is_blank, old)) else code
    keys = [body(line).rstrip() for line in old]
    wanted = [line.rstrip() for line in code]
    if keys == wanted and [body(line) for line in old] != list(code):  # only trailing blanks differ, so they are meant
        keys, wanted = [body(line) for line in old], list(code)
    new: list[str] = []
    place = 0
    for hunk in diff.hunks(keys, wanted):
        new += [*old[place : hunk.start], *(body(line) + usual for line in code[hunk.new_start : hunk.new_end])]
        place = hunk.end
    new += old[place:]
    closed = [line if end(line) else line + usual for line in new]
    return _last_as_before(_apart(closed, around), old, around[1])


def _blank_edge(old: Sequence[str]) -> list[str]:
    """The blank lines at the beginning of `old`, which a reply does not show."""
    count = next((number for number, line in enumerate(old) if not is_blank(line)), 0)
    return [body(line) for line in old[:count]]


def _apart(new: list[str], around: tuple[list[str], list[str]]) -> list[str]:
    r"""`new` without a `\r` followed by a lone `\n`, which would become one line end."""
    result: list[str] = []
    last = around[0][-1] if around[0] else ""
    for line in new:
        result.append("\r" if line == "\n" and last.endswith("\r") else line)
        last = result[-1]
    if result and around[1] and around[1][0] == "\n" and result[-1].endswith("\r"):
        result[-1] = body(result[-1]) + "\n"
    return result


def _last_as_before(new: list[str], old: Sequence[str], after: Sequence[str]) -> list[str]:
    """`new` without a final line end where the region, and so the document, had none."""
    if not after and old and not end(old[-1]) and new:
        return [*new[:-1], body(new[-1])]
    return new
