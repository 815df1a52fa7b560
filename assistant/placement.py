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

from assistant.document import Document
from assistant.echo import without_echo
from assistant.elision import elided_line
from assistant.languages import Language
from assistant.lines import body, indent, is_blank, split_lines, trimmed
from assistant.refusals import NoCode, Unclear
from assistant.region import Region
from assistant.syntax import Definition, definitions, problems


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
    code = without_echo(lines[: region.start], lines[region.start : region.end], lines[region.end :], code)
    if document.language.grammar is None:
        return (Piece(region, code),)
    return _by_definitions(_scene(document, region, lines, code))


@dataclass(frozen=True, slots=True)
class _Scene:
    """What is compared: the document's lines and definitions in, and around, the region; the code's lines and definitions.

    subject: the definition that the region consists of, if it consists of one.
    """

    language: Language
    region: Region
    lines: list[str]
    code: list[str]
    around: list[Definition]
    inside: list[Definition]
    elsewhere: list[Definition]
    subject: Definition | None
    theirs: tuple[Definition, ...]
    known: frozenset[str]

    def refusal(self, message: str) -> Unclear:
        """A refusal that keeps the code and tells the user how to widen the region."""
        return Unclear(message, "Choose a region that holds all of it, and ask again.", "\n".join(self.code))


def _by_definitions(scene: _Scene) -> tuple[Piece, ...]:
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


def _for_subject(scene: _Scene, subject: Definition) -> list[str]:
    """The lines of the code that are the new text of `subject`, with new helpers that came with it."""
    same = _same(scene, subject)
    outside = [n for n, line in enumerate(scene.code) if not same.start <= n < same.end and _counts(line)]
    own = scene.code[same.start : same.end]
    if all(_is_known(scene, scene.code[number]) for number in outside):
        return [*_comments_above(scene, same), *own]
    if len(same.path) > 1:
        raise scene.refusal(f"The answer changes more than {subject.name!r}.")
    dropped = _droppable(scene, same)
    kept = [n for n in outside if n not in dropped]
    _refuse_imports(scene, subject, [scene.code[n] for n in kept])
    return trimmed([line for number, line in enumerate(scene.code) if number not in dropped])


def _same(scene: _Scene, subject: Definition) -> Definition:
    """The code's definition of `subject`, of which there is at least one."""
    same = [found for found in scene.theirs if found.name == subject.name]
    exact = [found for found in same if found.path == subject.path[-len(found.path) :]]
    longest = max((len(found.path) for found in exact), default=0)
    best = [found for found in exact if len(found.path) == longest] or same
    if len(best) > 1:
        raise scene.refusal(f"The answer holds {subject.name!r} more than once.")
    return best[0]


def _refuse_strangers(scene: _Scene, subject: Definition) -> None:
    """No definition of `subject`: it may be renamed, but then something of it must be left."""
    if problems("\n".join(scene.code), scene.language):
        return  # the syntax check will say more
    old = {line.strip() for line in scene.lines[scene.region.start + 1 : scene.region.end] if _counts(line)}
    shared = bool(old & {line.strip() for line in scene.code})
    elsewhere = {found.name for found in (*scene.around, *scene.elsewhere)}
    if not scene.theirs or not shared or elsewhere & {found.name for found in scene.theirs}:
        raise NoCode(
            f"The answer holds no new text of {subject.name!r}.",
            "Ask for the whole of it, or read the answer.",
            "\n".join(scene.code),
        )


def _droppable(scene: _Scene, same: Definition) -> set[int]:
    """Code lines that are no part of the edit: imports and other definitions that the document has, examples of use."""
    dropped = {n for n, line in enumerate(scene.code) if n < same.start and _IMPORT.match(line) and line.strip() in scene.known}
    names = {found.name for found in scene.elsewhere}
    for found in scene.theirs:
        if found.name in names and len(found.path) == 1 and found != same:
            body_lines = range(found.start, found.end)
            if not all(_is_known(scene, scene.code[n]) for n in body_lines if _counts(scene.code[n])):
                raise scene.refusal(f"The answer also changes {found.name!r}, which was not selected.")
            dropped.update(body_lines)
    example = next((n for n in range(same.end, len(scene.code)) if _EXAMPLE.match(scene.code[n])), None)
    return dropped | (set(range(example, len(scene.code))) if example is not None else set())


def _refuse_imports(scene: _Scene, subject: Definition, extra: Sequence[str]) -> None:
    new = [line.strip() for line in extra if _IMPORT.match(line)]
    if new and (len(subject.path) > 1 or scene.language.fence in ("go", "java")):
        raise scene.refusal(f"The answer needs {new[0]!r}, which has no place in the selection.")


def _narrowed(scene: _Scene) -> tuple[Piece, ...]:
    """Where the code is only some definitions out of a larger region: each of them for its own; empty where it is not."""
    tops = [found for found in scene.theirs if len(found.path) == 1]
    covered = {n for found in tops for n in range(found.start, found.end)}
    loose = [line for n, line in enumerate(scene.code) if n not in covered and _counts(line) and not _is_known(scene, line)]
    partners = [[own for own in scene.inside if own.name == found.name] for found in tops]
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


def _leaves_out(scene: _Scene, answered: Sequence[Definition], covered: set[int]) -> bool:
    """Whether the region holds something that counts, outside of the definitions answered, of which the code has nothing."""
    inner = {n for own in answered for n in range(own.start, own.end)}
    rest = {
        scene.lines[n].strip()
        for n in range(scene.region.start, scene.region.end)
        if n not in inner and _counts(scene.lines[n])
    }
    given = {line.strip() for n, line in enumerate(scene.code) if n not in covered}
    return bool(rest) and not rest & {line for line in given if not _IMPORT.match(line)}


def _refuse_foreign(scene: _Scene) -> None:
    """Not one name in common: then some line must be, or the answer would only delete."""
    old = {line.strip() for line in scene.lines[scene.region.start : scene.region.end] if _counts(line)}
    if len(old) >= 3 and not old & {line.strip() for line in scene.code}:
        raise NoCode(
            "The answer has nothing in common with the selection.", "Ask again, and say what to keep.", "\n".join(scene.code)
        )


def _refuse_losses(scene: _Scene) -> None:
    """More definitions lost than kept, and at least two: the model stopped copying rather than deleted them."""
    if elided_line(scene.code, scene.lines, scene.language) is not None:
        return  # said better by the check for elisions
    names = {found.path for found in scene.inside}
    kept = names & {found.path for found in scene.theirs}
    lost = sorted(names - kept)
    if len(lost) >= 2 and len(lost) > len(kept):
        raise scene.refusal(f"The answer leaves out {len(lost)} of {len(names)} definitions, {lost[0][-1]!r} among them.")


_IMPORT = re.compile(
    r"\s*(?:import\b|from\s+\S+\s+import\b|#\s*include\b|use\s|using\s|require\b|(?:const|let|var)\b.*\brequire\()"
)
_EXAMPLE = re.compile(
    r"(?:(?:#|//|/\*)\s*(?:example|usage|test|sample|demo)\b|print\(|console\.log\(|assert\b|if __name__\b|puts\s|>>>)",
    re.IGNORECASE,
)


def _scene(document: Document, region: Region, lines: list[str], code: list[str]) -> _Scene:
    ours = definitions(document.text, document.language)
    inside = [found for found in ours if region.start <= found.start and found.end <= region.end]
    around = [found for found in ours if found.start < region.start < found.end and found.end >= region.end]
    rest = [found for found in ours if found not in inside and found not in around]
    known = frozenset(line.strip() for line in lines)
    subject = _subject(inside, region, lines)
    theirs = _definitions_of(code, document.language)
    return _Scene(document.language, region, lines, code, around, inside, rest, subject, theirs, known)


def _subject(inside: Sequence[Definition], region: Region, lines: Sequence[str]) -> Definition | None:
    """The definition beside which nothing in the region counts but comments."""
    if not inside:
        return None
    widest = max(inside, key=lambda found: found.end - found.start)
    outside = [lines[n] for n in range(region.start, region.end) if not widest.start <= n < widest.end]
    return widest if all(not _counts(line) or _COMMENT.match(line) for line in outside) else None


_COMMENT = re.compile(r"\s*(?:#|//|/\*|\*)")


def _definitions_of(code: Sequence[str], language: Language) -> tuple[Definition, ...]:
    """The definitions of code that may be indented, and may be methods that are only legal in a class."""
    depth = min((len(indent(line)) for line in code if not is_blank(line)), default=0)
    text = "".join(line[min(depth, len(indent(line))) :] + "\n" for line in code)
    if language.fence not in ("javascript", "typescript", "tsx", "java"):
        return definitions(text, language)
    wrapped = f"class _ {{\n{text}}}\n"
    if len(problems(wrapped, language)) >= len(problems(text, language)):
        return definitions(text, language)
    found = definitions(wrapped, language)[1:]
    return tuple(Definition(each.path[1:], each.start - 1, each.end - 1) for each in found)


def _comments_above(scene: _Scene, same: Definition) -> list[str]:
    """Comment lines right above `same` that stand in the region, or are new."""
    start = same.start
    own = {line.strip() for line in scene.lines[scene.region.start : scene.region.end]}
    while start and _COMMENT.match(scene.code[start - 1]):
        line = scene.code[start - 1]
        if (line.strip() in scene.known and line.strip() not in own) or elided_line([line], [], scene.language):
            break
        start -= 1
    return scene.code[start : same.start]


def _is_known(scene: _Scene, line: str) -> bool:
    """Whether the document has `line` already, or it says only that code is left out, or it is a comment."""
    return line.strip() in scene.known or bool(_COMMENT.match(line)) or elided_line([line], [], scene.language) is not None


def _counts(line: str) -> bool:
    return any(character.isalnum() for character in line)
