"""What goes with a question: files, lines of them, changes, what tools report; each by a name and as text for the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.context import attachments_text, shown_path, shown_region
from assistant.document import Document
from assistant.languages import Language
from assistant.region import Region

_DIFF = Language("diff", "diff", brackets=False)
_REPORT = Language("what tools report", "text", brackets=False)


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something that is shown to the model beside a question.

    name: what people see, such as `app.py:3-9`.
    text: what the model is shown: a heading, and the content in a fence that nothing in it can close.
    """

    name: str
    text: str


def of_file(document: Document) -> Attachment:
    """A whole document."""
    return Attachment(shown_path(document.path), attachments_text((document,)))


def of_lines(document: Document, region: Region) -> Attachment:
    """Some lines of a document."""
    return Attachment(f"{shown_path(document.path)}:{region.start + 1}-{region.end}", shown_region(document, region))


def of_diff(name: str, diff: str) -> Attachment:
    """Changes in the form of a diff; `name` says which."""
    return Attachment(name, attachments_text((Document(Path(name), diff, language=_DIFF),)))


def of_problems(path: Path | None, problems: Sequence[str]) -> Attachment:
    """What tools report about a file, a sentence each."""
    about = Document(path, "".join(f"{problem}\n" for problem in problems), language=_REPORT)
    return Attachment(f"problems of {shown_path(path)}", attachments_text((about,)))


def of_text(text: str) -> Attachment:
    """Text that came by standard input."""
    return Attachment("standard input", attachments_text((), text))


def text_of(attachments: Sequence[Attachment]) -> str:
    """All of them for the model; what was attached twice is shown once."""
    return "\n\n".join(dict.fromkeys(each.text for each in attachments))
