"""What a traceback, a test run or a compiler says: which lines it is about, and what went wrong there.

Understood are Python's tracebacks, pytest, unittest, Node, and the `FILE:LINE: message` of compilers and linters (also rustc's
`--> FILE:LINE` and tsc's `FILE(LINE,COLUMN)`).  Of several failures the first counts.  The text is data: it can name files, and
which of them may be opened is for the caller to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 400_000
"""Characters of a report that are looked at: its end, where tools say what failed."""

SENTENCES = 12
LONGEST_SENTENCE = 240


@dataclass(frozen=True, slots=True)
class Place:
    """A line that the report names.  message: what it says about this very line, empty for a frame of a traceback."""

    file: str
    line: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """One failure.

    places: the lines it names, the innermost call or the first error first.
    sentences: what went wrong, at most `SENTENCES`, each one line; `left_out` counts those beyond.
    names: the identifiers in the lines that failed.
    """

    places: tuple[Place, ...] = ()
    sentences: tuple[str, ...] = ()
    left_out: int = 0
    names: tuple[str, ...] = ()


def read_report(text: str) -> Report:
    """The first failure in `text`; an empty report where there is none."""
    lines = _first_failure(_plain(text)).split("\n")
    frames, errors = list(_python_frames(lines)), list(_errors(lines))
    node = [Place(found["file"], int(found["line"])) for line in lines if (found := _NODE.match(line))]
    places = [*reversed(frames), *node, *errors] if frames or node else errors
    said = list(dict.fromkeys(_said(lines, errors)))
    failing = " ".join(line for line in lines if re.match(r"(?:>|E)\s{2,}|\s+(?:self\.)?assert", line))
    return Report(
        tuple(places),
        tuple(sentence[:LONGEST_SENTENCE] for sentence in said[:SENTENCES]),
        max(len(said) - SENTENCES, 0),
        tuple(dict.fromkeys(re.findall(r"[A-Za-z_]\w*", re.sub(r"'[^']*'|\"[^\"]*\"", " ", failing)))),
    )


_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]")
_FRAME = re.compile(r'\s*File "(?P<file>[^"\n]+)", line (?P<line>\d{1,7})')
_NODE = re.compile(
    r"\s+at (?:.*\()?(?:file://)?(?P<file>[^():\s][^():\n]*|[A-Za-z]:[^():\n]*):(?P<line>\d{1,7}):\d{1,7}\)?\s*$"
)
_ERROR = re.compile(
    r"\s*+(?:-->\s*+)?(?P<file>[\w./\\+@ -]{0,400}?[\w+-]\.[A-Za-z]\w{0,4})"
    r"(?::(?P<line>\d{1,7})(?::\d{1,7})?(?::|$|\s)|\((?P<row>\d{1,7})(?:,\d{1,7})?\):)\s*(?P<message>.*)$"
)
_RAISED = re.compile(r"(?:Uncaught )?(?:\w+[.:]+)*[A-Z]\w*(?:Error|Exception)\b.*$|error(?:\[\w+\])?: .+$")
_AFTER_FRAMES = re.compile(r"(?:\w+\.)*[A-Za-z_]\w*(?::\s.*)?$")  # what ends a traceback may have any name
_PYTEST_HEAD = re.compile(r"^_{3,} .+ _{3,}$", re.MULTILINE)
_UNITTEST_HEAD = re.compile(r"^={60,}\n(?:FAIL|ERROR): ", re.MULTILINE)
_SECTION = re.compile(r"^(?:={60,}|-{60,}\nRan \d+|={3,} .+ ={3,}|_{3,} .+ _{3,})$", re.MULTILINE)


def _plain(text: str) -> str:
    return _ESCAPES.sub("", text[-LONGEST:]).replace("\r\n", "\n").replace("\r", "\n")


def _first_failure(text: str) -> str:
    """The part of a test run that is about its first failure; all of any other text."""
    head = _PYTEST_HEAD.search(text) or _UNITTEST_HEAD.search(text)
    if head is None:
        return text
    end = _SECTION.search(text, head.end())
    return text[head.start() : end.start() if end else len(text)]


def _python_frames(lines: list[str]) -> Iterator[Place]:
    for line in lines:
        found = _FRAME.match(line)
        if found:
            yield Place(found["file"], int(found["line"]))


def _errors(lines: list[str]) -> Iterator[Place]:
    """Lines of the form `FILE:LINE: message`; rustc says what is wrong in the line above."""
    before = ""
    for line in lines:
        found = _ERROR.match(line)
        if found and not _FRAME.match(line):
            message = found["message"].strip() or (before if line.lstrip().startswith("-->") else "")
            yield Place(found["file"].strip(), int(found["line"] or found["row"]), message)
        before = line.strip() or before


def _said(lines: list[str], errors: list[Place]) -> Iterator[str]:
    """What went wrong, in the report's own words, one line each."""
    if any(re.match(r"E\s{2,}", line) for line in lines):  # pytest
        for line in lines:
            if re.match(r"[E>]\s{2,}\S", line):
                yield " ".join(line[1:].split())
        return
    raised = list(_raised(lines))
    yield from raised
    for place in errors:
        if place.message and place.message not in raised:
            yield f"line {place.line}: {' '.join(place.message.split())}"


def _raised(lines: list[str]) -> Iterator[str]:
    """Lines that name an exception, and the one that ends the frames of a traceback."""
    in_frames = False
    for line in lines:
        if _FRAME.match(line):
            in_frames = True
        elif line.strip() and not line[0].isspace():
            if _RAISED.match(line) or (in_frames and _AFTER_FRAMES.match(line)):
                yield " ".join(line.split())
            in_frames = False
