"""Which lines of a model's code replace which lines of the document.

Models answer with more than was asked (the whole file, the lines around the selection, a helper, an example of its use) or
with less (one method of a class, one function of a file).  What belongs into the region is told by two things only: lines that
repeat the surroundings word for word (`assistant.echo`), and definitions of the same name.  What these leave open is refused.

Rules for imports above the code: those that the document has are dropped; new ones stay where the region is a definition at the
top of a file in a language that allows imports anywhere, and are refused elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from assistant.document import Document
from assistant.echo import without_echo
from assistant.elision import elided_line
from assistant.lines import body, split_lines, trimmed
from assistant.refusals import NoCode
from assistant.region import Region
from assistant.scene import IMPORT, Scene, counts, is_comment, is_known, scene_of
from assistant.syntax import Definition, problems

_NEAR = 50
_OVERRUN = 0.6
"""How alike, from 0 to 1, a line must be to one behind the selection to be taken for a change of it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """`lines`, without line ends, take the place of `region`."""

    region: Region
    lines: list[str]


def place(document: Document, region: Region, code: list[str]) -> tuple[Piece, ...]:
    """The pieces of `code`, in the order of the document.

    Raises:
        NoCode: it is for something else than the region.
        Unclear: it cannot be told for certain what of it belongs into the region.
    """
    lines = [body(line) for line in split_lines(document.text)]
    scene = scene_of(document, region, lines, code)
    if scene.subject is not None and scene.subject.name in {found.name for found in scene.theirs}:
        return _by_definitions(scene)  # a definition of the same name tells more than repeated lines do
    code = without_echo(lines[: region.start], lines[region.start : region.end], lines[region.end :], code)
    _refuse_overrun(scene, code)
    if document.language.grammar is None:
        return (Piece(region, code),)
    return _by_definitions(scene_of(document, region, lines, code))


def _refuse_overrun(scene: Scene, code: Sequence[str]) -> None:
    """The region ends inside a definition, and the code ends in a changed line of what follows: both would stand there."""
    region = scene.region
    cut = [found.end for found in (*scene.around, *scene.elsewhere) if found.start < region.end < found.end]
    following = [line.strip() for line in scene.lines[region.end : min(cut, default=region.end)] if counts(line)][:_NEAR]
    last, own = _last(code), _last(scene.lines[region.start : region.end])
    alike = max((_likeness(last, line) for line in following), default=0.0)
    if alike > max(_OVERRUN, _likeness(last, own)):
        raise scene.refusal(f"The answer goes on behind the selection: {last[:60]!r}.")


def _last(lines: Sequence[str]) -> str:
    return next((line.strip() for line in reversed(lines) if counts(line)), "")


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _by_definitions(scene: Scene) -> tuple[Piece, ...]:
    names = {found.name for found in scene.theirs}
    if scene.subject is not None and scene.subject.name in names:
        _refuse_losses(scene)
        return (Piece(scene.region, _for_subject(scene, scene.subject)),)
    beyond = sorted(names & {found.name for found in scene.around} - {found.name for found in scene.inside})
    if beyond:
        raise scene.refusal(f"The answer rewrites {beyond[0]!r} as a whole, of which only a part was selected.")
    if pieces := _narrowed(scene):
        return pieces
    if scene.subject is not None:
        _refuse_strangers(scene, scene.subject)
    return (Piece(scene.region, scene.code),)


def _for_subject(scene: Scene, subject: Definition) -> list[str]:
    """The lines of the code that are the new text of `subject`, with new helpers that came with it."""
    same = _same(scene, subject)
    outside = [n for n, line in enumerate(scene.code) if not same.start <= n < same.end and counts(line)]
    own = scene.code[same.start : same.end]
    if all(is_known(scene, scene.code[number]) for number in outside):
        return [*_comments_above(scene, same), *own]
    if len(same.path) > 1:
        raise scene.refusal(f"The answer changes more than {subject.name!r}.")
    dropped = _droppable(scene, same)
    kept = [n for n in outside if n not in dropped]
    _refuse_imports(scene, subject, [scene.code[n] for n in kept])
    return trimmed([line for number, line in enumerate(scene.code) if number not in dropped])


def _same(scene: Scene, subject: Definition) -> Definition:
    """The code's definition of `subject`, of which there is at least one."""
    same = [found for found in scene.theirs if found.name == subject.name]
    exact = [found for found in same if found.path == subject.path[-len(found.path) :]]
    longest = max((len(found.path) for found in exact), default=0)
    best = [found for found in exact if len(found.path) == longest] or same
    if len(best) > 1:
        raise scene.refusal(f"The answer holds {subject.name!r} more than once.")
    return best[0]


def _refuse_strangers(scene: Scene, subject: Definition) -> None:
    """No definition of `subject`: it may be renamed, but then something of it must be left."""
    if problems("\n".join(scene.code), scene.language):
        return  # the syntax check will say more
    old = {line.strip() for line in scene.lines[scene.region.start + 1 : scene.region.end] if counts(line)}
    shared = bool(old & {line.strip() for line in scene.code})
    elsewhere = {found.name for found in (*scene.around, *scene.elsewhere)}
    if not scene.theirs or not shared or elsewhere & {found.name for found in scene.theirs}:
        raise NoCode(
            f"The answer holds no new text of {subject.name!r}.",
            "Ask for the whole of it, or read the answer.",
            "\n".join(scene.code),
        )


def _droppable(scene: Scene, same: Definition) -> set[int]:
    """Code lines that are no part of the edit: imports and other definitions that the document has, examples of use."""
    dropped = {n for n, line in enumerate(scene.code) if n < same.start and IMPORT.match(line) and line.strip() in scene.known}
    names = {found.name for found in scene.elsewhere}
    for found in scene.theirs:
        if found.name in names and len(found.path) == 1 and found != same:
            body_lines = range(found.start, found.end)
            if not all(is_known(scene, scene.code[n]) for n in body_lines if counts(scene.code[n])):
                raise scene.refusal(f"The answer also changes {found.name!r}, which was not selected.")
            dropped.update(body_lines)
    example = next((n for n in range(same.end, len(scene.code)) if _EXAMPLE.match(scene.code[n])), None)
    return dropped | (set(range(example, len(scene.code))) if example is not None else set())


def _refuse_imports(scene: Scene, subject: Definition, extra: Sequence[str]) -> None:
    new = [line.strip() for line in extra if IMPORT.match(line)]
    if new and (len(subject.path) > 1 or scene.language.fence in ("go", "java")):
        raise scene.refusal(f"The answer needs {new[0]!r}, which has no place in the selection.")


def _narrowed(scene: Scene) -> tuple[Piece, ...]:
    """Where the code is only some definitions out of a larger region: each of them for its own; empty where it is not."""
    tops = [found for found in scene.theirs if len(found.path) == 1]
    covered = {n for found in tops for n in range(found.start, found.end)}
    loose = [line for n, line in enumerate(scene.code) if n not in covered and counts(line) and not is_known(scene, line)]
    partners = [_partners(scene, found) for found in tops]
    if not tops or not scene.inside:
        return ()
    if not any(partners):
        _refuse_foreign(scene)
        return ()
    if loose or any(len(own) != 1 for own in partners) or not _leaves_out(scene, [own[0] for own in partners], covered):
        _refuse_losses(scene)
        return ()
    pieces = [
        Piece(Region(own[0].start, own[0].end), scene.code[found.start : found.end])
        for found, own in zip(tops, partners, strict=True)
    ]
    return tuple(sorted(pieces, key=lambda piece: piece.region.start))


def _partners(scene: Scene, found: Definition) -> list[Definition]:
    """The region's definitions of the same name; of several, those with the same first line."""
    named = [own for own in scene.inside if own.name == found.name]
    head = scene.code[found.start].strip()
    return named if len(named) < 2 else [own for own in named if scene.lines[own.start].strip() == head]


def _leaves_out(scene: Scene, answered: Sequence[Definition], covered: set[int]) -> bool:
    """Whether the region holds something that counts, outside of the definitions answered, of which the code has nothing."""
    inner = {n for own in answered for n in range(own.start, own.end)}
    rest = {
        scene.lines[n].strip() for n in range(scene.region.start, scene.region.end) if n not in inner and counts(scene.lines[n])
    }
    given = {line.strip() for n, line in enumerate(scene.code) if n not in covered}
    return bool(rest) and not rest & {line for line in given if not IMPORT.match(line)}


def _refuse_foreign(scene: Scene) -> None:
    """Not one name in common: then some line must be, or the answer would only delete."""
    old = {line.strip() for line in scene.lines[scene.region.start : scene.region.end] if counts(line)}
    if len(old) >= 3 and not old & {line.strip() for line in scene.code}:
        raise NoCode(
            "The answer has nothing in common with the selection.", "Ask again, and say what to keep.", "\n".join(scene.code)
        )


def _refuse_losses(scene: Scene) -> None:
    """More definitions lost than kept, and at least two: the model stopped copying rather than deleted them."""
    if elided_line(scene.code, scene.lines, scene.language) is not None:
        return  # said better by the check for elisions
    names = {found.name for found in scene.inside}
    kept = names & {found.name for found in scene.theirs}
    lost = sorted(names - kept)
    if len(lost) >= 2 and len(lost) > len(kept):
        raise scene.refusal(f"The answer leaves out {len(lost)} of {len(names)} definitions, {lost[0]!r} among them.")


_EXAMPLE = re.compile(
    r"(?:(?:#|//|/\*)\s*(?:example|usage|test|sample|demo)\b|print\(|console\.log\(|assert\b|if __name__\b|puts\s|>>>)",
    re.IGNORECASE,
)


def _comments_above(scene: Scene, same: Definition) -> list[str]:
    """Comment lines right above `same` that stand in the region, or are new."""
    start = same.start
    own = {line.strip() for line in scene.lines[scene.region.start : scene.region.end]}
    while start and is_comment(scene.code[start - 1], scene.language):
        line = scene.code[start - 1]
        if (line.strip() in scene.known and line.strip() not in own) or elided_line([line], [], scene.language):
            break
        start -= 1
    return scene.code[start : same.start]
