"""Where a report points: the file and the lines that a command should be about."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from assistant.document import Document
from assistant.errors import AssistantError
from assistant.ignore import reason_to_leave_out
from assistant.reports import Place, Report
from assistant.syntax import definitions, enclosing_definition

_FOREIGN = frozenset(("site-packages", "dist-packages", "node_modules", ".venv", "venv", ".tox", ".nox", "vendor"))


def file_of(report: Report, folder: Path) -> Path | None:
    """The file that the report is about: in `folder`, no library, and no file of tests where another is named or imported."""
    files = dict.fromkeys(place.file for place in report.places)  # a compiler may name one of them ten thousand times
    own = [path for file in files if (path := own_file(Place(file, 1), folder))]
    code = [path for path in own if not is_tests(path)]
    if code:
        return code[0]
    return next((path for tests in own if (path := _under_test(tests, report.names, folder))), own[0] if own else None)


def lines_of(report: Report, document: Document) -> tuple[int, int] | None:
    """The definition in `document` that the report names a line of, or whose name failed; None where it says neither."""
    assert document.path is not None
    here = _places_in(report, document.path)
    last = document.text.count("\n") + 1
    for place in here:
        if 1 <= place.line <= last:
            around = enclosing_definition(document.text, document.language, place.line - 1)
            return (around[0] + 1, around[1] + 1) if around else None
    for found in definitions(document.text, document.language):
        if found.name in report.names and len(found.path) == 1:
            return found.start + 1, found.end
    return None


def sentences_for(report: Report, document: Document) -> tuple[str, ...]:
    """What the model is told: what went wrong, and which lines of the document were running."""
    assert document.path is not None
    running = [str(place.line) for place in _places_in(report, document.path) if not place.message]
    where = (f"it was raised in line {running[0]}",) if running else ()
    return (*report.sentences, *where)


def own_file(place: Place, folder: Path) -> Path | None:
    """The file of this place, if it is one of `folder` and of no library, no secret and not ignored."""
    try:
        path = (folder / place.file).resolve()
        inside = path.is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError, RuntimeError):
        return None
    foreign = inside and _FOREIGN.intersection(path.relative_to(folder.resolve()).parts)
    if not inside or foreign or reason_to_leave_out(path):
        return None
    return folder / path.relative_to(folder.resolve())


def is_tests(path: Path) -> bool:
    """Whether a file holds tests, by its name."""
    return re.match(r"test_|conftest\.|.*(?:_test|\.test|\.spec|_spec|Tests?)\.\w+$", path.name) is not None


def _places_in(report: Report, path: Path) -> list[Place]:
    same = {file: _same(file, path) for file in {place.file for place in report.places}}
    return [place for place in report.places if same[place.file]]


def _same(file: str, path: Path) -> bool:
    try:
        return Path(file).resolve() == path.resolve()
    except (OSError, ValueError, RuntimeError):  # a name that no file can have; a loop of links
        return False


def _under_test(tests: Path, names: tuple[str, ...], folder: Path) -> Path | None:
    """The file from which Python tests import one of `names`."""
    try:
        tree = ast.parse(tests.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError, AssistantError):
        return None
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=aliases) if {each.asname or each.name for each in aliases} & set(
                names
            ):
                modules = [module, *(f"{module}.{each.name}" for each in aliases)]
            case ast.Import(names=aliases):
                modules = [each.name for each in aliases if (each.asname or each.name.partition(".")[0]) in names]
            case _:
                continue
        for module in modules:
            for base in (tests.parent, folder, folder / "src"):
                path = base / Path(*module.split(".")).with_suffix(".py")
                if (own := own_file(Place(str(path), 1), folder)) is not None:
                    return own
    return None
