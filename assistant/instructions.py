"""What a project wants a model to know: its `AGENTS.md`.  It is text for the prompt; no setting is read from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assistant.context import fenced, shown_path
from assistant.document import Document, load
from assistant.errors import AssistantError
from assistant.ignore import is_secret, repository_of
from assistant.languages import language_of

NAME = "AGENTS.md"

BUDGET = 2_000
"""Characters that are shown, some 500 tokens: a CPU reads about a hundred in a second, for every question."""


@dataclass(frozen=True, slots=True)
class Instructions:
    """A project's instructions.

    text: a paragraph for the beginning of a prompt, empty where there are none.
    notes: one sentence for each thing that was left out, or why a file could not be used.
    """

    text: str = ""
    notes: tuple[str, ...] = ()


def instructions_for(place: Path) -> Instructions:
    """Those of the nearest `AGENTS.md`, from the folder of `place` (or the folder itself) up to the top of its repository.

    Outside a repository only that folder and the current one are looked at.  A link out of the project is not followed.
    """
    folder = (place if place.is_dir() else place.parent).absolute()
    top = repository_of(folder)
    for each in _folders(folder, top):
        path = each / NAME
        if path.is_file() and path.resolve().is_relative_to((top or each).resolve()) and not is_secret(path):
            return _read(path)
    return Instructions()


def _folders(folder: Path, top: Path | None) -> list[Path]:
    if top is None:
        return list(dict.fromkeys((folder, *([Path.cwd()] if folder.is_relative_to(Path.cwd()) else []))))
    return [each for each in (folder, *folder.parents) if each.is_relative_to(top)]


def _read(path: Path) -> Instructions:
    try:
        document = load(path)
    except AssistantError as error:
        return Instructions(notes=(f"The project's instructions are left out: {error.message}",))
    kept = _within(document.text)
    missing = len(document.text) - len(kept)
    notes = (f"The last {missing:,} characters of {shown_path(path)} are not shown to the model.",) if missing else ()
    return Instructions(_paragraph(document, kept), notes)


def _within(text: str) -> str:
    """Whole lines of `text`, as many as the budget holds."""
    return text if len(text) <= BUDGET else text[: text.rfind("\n", 0, BUDGET) + 1] or text[:BUDGET]


def _paragraph(document: Document, text: str) -> str:
    shown = fenced(text.replace("\r\n", "\n").replace("\r", "\n"), language_of(NAME))
    source = shown_path(document.path)
    return f"What the project asks of its code, from `{source}`; follow it as far as it fits the task:\n\n{shown}\n\n"
