"""Print docs/errors.md, made from the tree of errors: `python scripts/errors_page.py >docs/errors.md`, or `make docs`."""

from __future__ import annotations

import inspect
import re

import assistant.refusals  # noqa: F401 - it adds to the tree
from assistant.errors import AssistantError, every_error
from server.failures import answer_of

HEAD = """\
# Errors

Every failure that you can meet has a code, a sentence that says what went wrong and one that says what to do. This page is
made from the code (`make docs`); a test provokes each of them with a real command or request.

The shell ends with the *exit code*, the model host and its endpoint answer with the *HTTP* status, the language server with
the *LSP* code and `data.code`. `--debug` shows where an error came from.

| code | what | exit code | HTTP | LSP |
|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    tree = errors()
    rows = [f"| [`{one.code}`](#{one.code}) | {first(one)} | {one.exit_code} | {one.status} | {lsp(one)} |\n" for one in tree]
    return HEAD + "".join(rows) + "".join(section(one) for one in tree)


def errors() -> list[type[AssistantError]]:
    """Every error that users meet, by exit code; modules may have others of their own inside."""
    tree = [one for one in every_error() if one.__module__ in ("assistant.errors", "assistant.refusals")]
    return sorted(tree, key=lambda one: (one.exit_code, one.__module__ != "assistant.errors"))


def section(one: type[AssistantError]) -> str:
    """What, why and what to do about one error."""
    why, remedy = said(one, "Why"), said(one, "What to do")
    return f"\n## {one.code}\n\n{first(one)}\n\n- **Why:** {why}\n- **What to do:** {remedy}\n"


def first(one: type[AssistantError]) -> str:
    """What happened: the first paragraph of the class."""
    return (
        " ".join(inspect.cleandoc(one.__doc__ or "").split("\n\n")[0].split())
        if one is not AssistantError
        else "Something went wrong that should not have."
    )


def said(one: type[AssistantError], heading: str) -> str:
    """What the class says under a heading, or else the class that it stems from."""
    found = re.search(
        rf"^{heading}: (.+?)(?=\n[A-Z][a-z ]+: |\n\n|\Z)", inspect.cleandoc(one.__doc__ or ""), re.MULTILINE | re.DOTALL
    )
    return " ".join(found[1].split()) if found else said(one.__bases__[0], heading)


def lsp(one: type[AssistantError]) -> object:
    """The code that the language server answers with."""
    return -32603 if one is AssistantError else answer_of(one("x"))["code"]


if __name__ == "__main__":
    print(page(), end="")
