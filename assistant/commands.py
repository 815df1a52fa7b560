"""The table of commands: one row and one prompt file each.

A prompt file is Markdown: sections headed `## system`, `## user` and, where a reply is checked, one for each
further try.  In a
section `$name` stands for a value that the turn fills in; `$$` is a dollar sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from string import Template
from typing import Literal, get_args

from assistant.errors import UsageError
from assistant.wire import Urgency

Effect = Literal["answer", "edit", "file"]
EFFECTS: tuple[Effect, ...] = get_args(Effect)

Product = Literal["", "translation", "tests", "script", "message"]


@dataclass(frozen=True, slots=True)
class Command:
    """Something that a user can ask for.

    name: the verb in the shell, and the name of the prompt file.
    title: what people read in a help text or a menu.
    effect: `answer` shows text, `edit` rewrites a region of a file, `file` makes a new one and touches none that is there.
    makes: what a new file holds, which decides its name; or that the answer is a commit message, which has a form.
    keeps_code: whether an edit may change comments and documentation alone.
    source: the text of its prompt file, where that is not one of ours (`assistant.own_commands`).
    languages: the names of those that it is for; empty for all.
    language: the name of what a new file is written in; empty for that of the old one.
    """

    name: str
    title: str
    effect: Effect
    makes: Product = ""
    keeps_code: bool = False
    source: str = ""
    languages: tuple[str, ...] = ()
    language: str = ""

    @property
    def urgency(self) -> Urgency:
        """Where requests of this command stand in the model host's queue."""
        return "chat" if self.effect == "answer" else "edit"

    def prompt(self, section: str, **values: str) -> str:
        """One section of the prompt file with `values` filled in; text inside a value is never expanded again."""
        return Template(self._sections()[section]).substitute(values)

    def takes(self, value: str) -> bool:
        """Whether its first prompt has a place for this value."""
        return value in Template(self._sections()["user"]).get_identifiers()

    def has(self, section: str) -> bool:
        """Whether the prompt file has this section."""
        return section in self._sections()

    def _sections(self) -> dict[str, str]:
        return _parsed(self.source) if self.source else sections_of(self.name)


COMMANDS = (
    Command("ask", "Ask a question about code", "answer"),
    Command("explain", "Explain code", "answer"),
    Command("fix", "Fix a bug", "edit"),
    Command("edit", "Change code as told", "edit"),
    Command("document", "Write docstrings and comments", "edit", keeps_code=True),
    Command("review", "Review code", "answer"),
    Command("translate", "Translate to another language", "file", makes="translation"),
    Command("tests", "Write tests", "file", makes="tests"),
    Command("plot", "Draw a figure", "file", makes="script"),
    Command("commit", "Write a commit message", "answer", makes="message"),
)


def command(name: str) -> Command:
    """The command called `name`.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    for row in COMMANDS:
        if row.name == name:
            return row
    raise UsageError(f"There is no command {name!r}.", f"Commands: {', '.join(row.name for row in COMMANDS)}.")


@cache
def sections_of(name: str) -> dict[str, str]:
    """The sections of one of our prompt files, by their headings."""
    return _parsed(files("assistant.prompts").joinpath(f"{name}.md").read_text(encoding="utf-8"))


@lru_cache(maxsize=256)
def _parsed(text: str) -> dict[str, str]:
    parts = f"\n{text}".split("\n## ")[1:]
    return {heading.strip(): body.strip() for heading, _, body in (part.partition("\n") for part in parts)}
