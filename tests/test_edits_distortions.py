"""Real functions, one line changed, in replies distorted as models distort them: the file must get that line and no other."""

from __future__ import annotations

import random
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import assistant
from assistant.document import Document
from assistant.edits import Region, rewrite
from assistant.languages import PYTHON
from assistant.lines import split_lines
from assistant.syntax import Definition, definitions

NAMES = ("diff", "document", "errors", "lines", "reply", "settings", "template", "trees")
SOURCES = [Path(assistant.__file__).with_name(f"{name}.py") for name in NAMES]
ROUNDS = 6


def with_tabs(text: str) -> str:
    return re.sub(r"^(?:    )+", lambda found: "\t" * (len(found[0]) // 4), text, flags=re.MULTILINE)


def moved(text: str) -> str:
    return textwrap.indent(text, "    ")


def unchanged(text: str) -> str:
    return text


# name: (what becomes of the file, what becomes of the reply)
DISTORTIONS: dict[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "as it should be": (unchanged, unchanged),
    "dedented": (unchanged, textwrap.dedent),
    "too deep": (unchanged, moved),
    "with tabs": (unchanged, with_tabs),
    "dedented, with tabs": (unchanged, lambda code: with_tabs(textwrap.dedent(code))),
    "with CRLF": (unchanged, lambda code: code.replace("\n", "\r\n")),
    "fenced": (unchanged, lambda code: f"```python\n{code}```\n"),
    "into a file with tabs": (with_tabs, unchanged),
    "into a file with CRLF": (lambda text: text.replace("\n", "\r\n"), textwrap.dedent),
    "into a file with CR": (lambda text: text.replace("\n", "\r"), unchanged),
}


def changed(lines: list[str], found: Definition, chance: random.Random) -> list[str] | None:
    """The definition's lines with one `return` changed, where it has one."""
    own = lines[found.start : found.end]
    places = [number for number, line in enumerate(own) if re.match(r"\s+return (?!lambda|yield)\w", line)]
    if not places:
        return None
    place = chance.choice(places)
    return [*own[:place], own[place].replace("return ", "return 0 or ", 1), *own[place + 1 :]]


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_distorted_reply_changes_one_line(name):
    of_file, of_reply = DISTORTIONS[name]
    chance, done = random.Random(name), 0
    while done < ROUNDS:
        text = chance.choice(SOURCES).read_text(encoding="utf-8")
        lines, every = split_lines(text), definitions(text, PYTHON)
        found = chance.choice(every) if every else None
        new = changed(lines, found, chance) if found else None
        if found is None or new is None:
            continue
        done += 1
        wanted = of_file("".join([*lines[: found.start], *new, *lines[found.end :]]))
        source = Document(Path("a.py"), of_file(text), language=PYTHON)
        whole = chance.random() < 0.3 and len(every) > 3 and [each.name for each in every].count(found.name) == 1
        region = Region(0, len(lines)) if whole else Region(found.start, found.end)
        plan = rewrite(source, region, of_reply("".join(new)))
        assert plan.apply(source.text) == wanted
        assert plan.changed_lines(source.text) == (1, 1)
        assert plan.inverse(source.text).apply(wanted) == source.text
