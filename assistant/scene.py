"""What is compared to find out which part of a model's code belongs where: the document's definitions and the code's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.definitions import Definition, definitions
from assistant.document import Document
from assistant.elision import elided_line
from assistant.languages import Language
from assistant.lines import indent, is_blank
from assistant.refusals import Unclear
from assistant.region import Region
from assistant.syntax import problems

IMPORT = re.compile(
    r"\s*(?:import\b|from\s+\S+\s+import\b|#\s*include\b|use\s|using\s|require\b|(?:const|let|var)\b.*\brequire\()"
)


@dataclass(frozen=True, slots=True)
class Scene:
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


def scene_of(document: Document, region: Region, lines: list[str], code: list[str]) -> Scene:
    """The scene for `code`, an answer for `region`; neither `lines`, the document's, nor `code` has line ends."""
    ours = definitions(document.text, document.language)
    inside = [found for found in ours if region.start <= found.start and found.end <= region.end]
    around = [found for found in ours if found.start < region.start < found.end and found.end >= region.end]
    rest = [found for found in ours if found not in inside and found not in around]
    inner = range(region.start, region.end)
    known = frozenset(line.strip() for n, line in enumerate(lines) if not (n in inner and _is_inner_import(line)))
    subject = _subject(inside, region, lines, document.language)
    theirs = _definitions_of(code, document.language)
    return Scene(document.language, region, lines, code, around, inside, rest, subject, theirs, known)


def _is_inner_import(line: str) -> bool:
    """Whether it imports inside a block: an answer with the same line above its code has moved it there."""
    return line != line.lstrip() and IMPORT.match(line.lstrip()) is not None


def _subject(inside: Sequence[Definition], region: Region, lines: Sequence[str], language: Language) -> Definition | None:
    """The definition beside which nothing in the region counts but comments."""
    if not inside:
        return None
    widest = max(inside, key=lambda found: found.end - found.start)
    outside = [lines[n] for n in range(region.start, region.end) if not widest.start <= n < widest.end]
    return widest if all(not counts(line) or is_comment(line, language) for line in outside) else None


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


def is_known(scene: Scene, line: str) -> bool:
    """Whether the document has `line` already, or it says only that code is left out, or it is a comment."""
    return (
        line.strip() in scene.known or is_comment(line, scene.language) or elided_line([line], [], scene.language) is not None
    )


def counts(line: str) -> bool:
    """Whether `line` holds more than brackets and punctuation."""
    return any(character.isalnum() for character in line)


def is_comment(line: str, language: Language) -> bool:
    """Whether `line` is nothing but a comment, or a part of one that has a star before each line."""
    return line.lstrip().startswith((*language.comments, "/*", "* ", "*/"))
