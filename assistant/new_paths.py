"""Where a new file should lie: beside the document, under the name that its language expects, and never over a file."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

from assistant.conventions import conventions
from assistant.languages import Language
from assistant.syntax import definitions


def path_beside(document: Path | None, name: str) -> Path:
    """`name` in the folder of `document`, else in the current one; where it is taken, the first free one with a number."""
    folder = document.parent if document else Path()
    stem, dot, rest = name.partition(".")
    names = (f"{stem}_{number}{dot}{rest}" for number in count(2))
    taken = folder / name
    while taken.exists() or taken.is_symlink():
        taken = folder / next(names)
    return taken


def translation_name(document: Path | None, language: Language, code: str) -> str:
    """The document's stem with the extension of `language`; a Java file is called after its public class."""
    stem = document.stem if document else "translated"
    public = re.search(r"^public\s+(?:\w+\s+)*?(?:class|interface|enum|record)\s+(\w+)", code, re.MULTILINE)
    if language.name == "Java":
        classes = [found.name for found in definitions(code, language) if len(found.path) == 1]
        stem = public[1] if public else next(iter(classes), stem)
    return stem + extension_of(language)


def tests_name(document: Path | None, language: Language) -> str:
    """The name of a file of tests for `document`."""
    return conventions(language).test_file.format(stem=document.stem if document else "code")


def extension_of(language: Language) -> str:
    """The usual file name ending of `language`, with its dot."""
    return language.extensions[0] if language.extensions else ".txt"
