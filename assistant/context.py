r"""What the model is shown of files: the region, the text around it, attachments; and what had to be left out, never silently.

Paths are shown relative to the current folder, so that no prompt tells where a user's home is.  Line ends are shown as `\\n`.
`count` functions give the number of tokens of a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from assistant.document import Document
from assistant.errors import ContextOverflow
from assistant.languages import Language
from assistant.lines import body, is_blank, split_lines, trimmed
from assistant.region import Region

Count = Callable[[str], int]

GROWTH = 1.3
"""How much longer than the region, in tokens, its new text is allowed for."""

NEAR = 60
"""At most so many lines before the region are shown, and half as many after it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Text for a prompt, and one sentence for each thing that was left out of it."""

    text: str
    left_out: tuple[str, ...] = ()


def shown_region(document: Document, region: Region) -> str:
    """The region in a fence, under its path, line numbers and language; blank lines at its edges are not shown."""
    lines = split_lines(document.text)[region.start : region.end]
    return f"{heading(document, region)}\n\n{fenced(_joined(trimmed(lines)), document.language)}"


def heading(document: Document, region: Region | None = None) -> str:
    """One line that says which text follows: `src/a.py` (Python), lines 3 to 9."""
    name = f"`{shown_path(document.path)}` ({document.language.name})"
    return f"{name}:" if region is None else f"{name}, lines {region.start + 1} to {region.end}:"


def surroundings(document: Document, region: Region, budget: int, count: Count) -> Shown:
    """The imports at the top and the lines nearest to the region, as many as `budget` tokens hold; empty where there are none.

    Lines before the region weigh twice as much as those after it.
    """
    lines = split_lines(document.text)
    most = min(NEAR, max(region.start, 2 * (len(lines) - region.end)))
    if most <= 0 or budget <= 0:
        return Shown("", _unseen(lines, region, 0, 0) if most > 0 else ())
    near = _largest(most, lambda near: count(_around(document, lines, region, near)) <= budget)
    before, after = min(near, region.start), min(ceil(near / 2), len(lines) - region.end)
    return Shown(_around(document, lines, region, near) if near else "", _unseen(lines, region, before, after))


def attachments_text(attachments: Sequence[Document], piped: str = "") -> str:
    """Every attachment in a fence under its path, then the piped text in one of its own; all of it, nothing is cut."""
    parts = [f"{heading(each)}\n\n{fenced(_joined(split_lines(each.text)), each.language)}" for each in attachments]
    if piped.strip():
        parts.append(f"The text from standard input:\n\n{fenced(_joined(split_lines(piped)))}")
    return "\n\n".join(parts)


def check_room(region_tokens: int, prompt_tokens: int, window: int) -> int:
    """How many tokens the new text of a region of `region_tokens` is allowed.

    Raises:
        ContextOverflow: the window has fewer left beside the prompt, which shows the region as well.
    """
    needed = ceil(GROWTH * region_tokens)
    if needed > window - prompt_tokens:
        raise ContextOverflow(
            f"The region has {region_tokens:,} tokens: reading it takes {prompt_tokens:,} and rewriting it {needed:,},"
            f" and the model's window holds {window:,}.",
            "Choose fewer lines, or a model with a larger window.",
        )
    return needed


def fence_for(text: str) -> str:
    """Backticks, at least three, and more than `text` has anywhere in a row."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    return "`" * max(3, longest + 1)


def fenced(text: str, language: Language | None = None) -> str:
    """`text` in a fence that nothing in it can close, with the language's name."""
    fence = fence_for(text)
    return f"{fence}{language.fence if language else ''}\n{text}{'' if text.endswith(chr(10)) else chr(10)}{fence}"


def shown_path(path: Path | None) -> str:
    """`path` relative to the current folder, its name alone where it lies elsewhere, `untitled` where there is none."""
    if path is None:
        return "untitled"
    absolute = path.absolute()
    return absolute.relative_to(Path.cwd()).as_posix() if absolute.is_relative_to(Path.cwd()) else path.name


def _around(document: Document, lines: Sequence[str], region: Region, near: int) -> str:
    start = max(region.start - near, 0)
    end = min(region.end + ceil(near / 2), len(lines))
    imports = [line for line in lines[:start] if _IMPORT.match(line)]
    parts = (
        ("Its imports:", imports),
        (f"Lines {start + 1} to {region.start}, before it:", lines[start : region.start]),
        (f"Lines {region.end + 1} to {end}, after it:", lines[region.end : end]),
    )
    shown = [
        f"{title}\n\n{fenced(_joined(part), document.language)}"
        for title, part in parts
        if not all(is_blank(line) for line in part)
    ]
    return "\n\n".join([f"From {heading(document)[:-1]}.", *shown]) if shown else ""


_IMPORT = re.compile(r"(?:import\b|from\s+\S+\s+import\b|#\s*include\b|use\s|using\s|require\b|package\b|extern\b)")


def _unseen(lines: Sequence[str], region: Region, before: int, after: int) -> tuple[str, ...]:
    missing = region.start - before + len(lines) - region.end - after
    return (f"{missing:,} of {len(lines):,} lines, far from the selection, are not shown to the model.",) if missing else ()


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `most` that `fits`, where every smaller one does; 0 where none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _joined(lines: Sequence[str]) -> str:
    return "".join(body(line) + "\n" for line in lines)
