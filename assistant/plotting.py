"""A figure from a question: the model writes a script, and where the user asks, it is run in the sandbox and repaired.

Figure -> the script -> the sandbox -> a picture, or a traceback that the model is shown, twice at most -> Drawn
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from assistant.answer import Answer, Note
from assistant.client import ModelClient
from assistant.commands import command
from assistant.context import fenced
from assistant.errors import NoEdit, UsageError
from assistant.languages import PYTHON
from assistant.sandbox import Job, Limits, Outcome, check_available, run
from assistant.tables import Table, described
from assistant.turn import Event, Turn, take

REPAIRS = 2
"""How often a script that fails is shown to the model again."""

WARMER = 0.7
"""The temperature at which a script is repaired again that came back as it was: the likeliest answer is known to fail."""

MOST_FIGURES = 20
"""More of one script are not saved."""

SECONDS = 60.0
_PNG = b"\x89PNG\r\n"
_MOST_LINES = 12
_MAP = re.compile(
    r"(?<!color )(?<!colour )(?<!heat )\bmaps?\b"
    r"|\b(?:countr(?:y|ies)|world|europe|africa|asia|america|continents?)\b"
)
_MAP_HINT = """\
For a map use no file and no other package than this: `countries()` gives a dict from each country's English name to a list of
outlines, which are lists of (longitude, latitude). This script draws every country; write it anew, with the colors that are
asked for above in `colors`, by country, and with a title:

```python
import matplotlib.pyplot as plt
from assistant.shapes import countries

colors = {}  # fill in the color of each country that is named above
fig, ax = plt.subplots(figsize=(12, 6))
for name, outlines in countries().items():
    for outline in outlines:
        ax.fill(*zip(*outline), facecolor=colors.get(name, "lightgray"), edgecolor="white", linewidth=0.3)
ax.set_aspect("equal")
```"""
_SEVERAL = re.compile(
    r"side by side|beside each other|next to each other|subplots|panels"
    r"|\b(?:two|three|four|[2-9]) (?:\w+ ){0,3}(?:charts|plots|graphs|diagrams|histograms)\b"
)
_SEVERAL_HINT = """\
Each of the charts gets axes of its own, in one figure. Write `fig, axes = plt.subplots(1, 2, figsize=(10, 5))` into the script,
and draw the first with `axes[0]` and the second with `axes[1]` after it; functions of seaborn take them as `ax=axes[0]`."""
_STYLE_HINT = "For the style call `sns.set_theme()` right after the imports."


@dataclass(frozen=True, slots=True)
class Drawn:
    """How a run ended.

    answer: the script that was run last.  pictures: the bytes of a PNG for each figure; none where it failed to the end.
    description: the figures as JSON (see `assistant.cage.figure`).  repairs: how often the model was shown a failure.
    failure: what the script said last, where it failed.
    """

    answer: Answer
    pictures: tuple[bytes, ...]
    description: str
    repairs: int
    failure: str = ""


def plot_turn(question: str, table: Table | None = None) -> Turn:
    """The turn that asks for a script."""
    parts = [question.strip()]
    if table is not None:
        parts.append(described(table))
    parts += _hints(question.lower())
    return Turn(command("plot"), question="\n\n".join(parts))


def _hints(question: str) -> list[str]:
    """What small models get wrong in questions of this kind."""
    hints = [_MAP_HINT] if _MAP.search(question) else []
    hints += [_SEVERAL_HINT] if _SEVERAL.search(question) else []
    return hints + ([_STYLE_HINT] if "seaborn" in question else [])


def check_drawable() -> None:
    """Refuse where nothing can be drawn here.

    Raises:
        UsageError: the packages of the extra `plot` are not installed.
    """
    missing = [name for name in ("matplotlib", "seaborn") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"Drawing needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed.",
            "Install the extra: pip install 'starchat-assistant[plot]'.",
        )


async def drawn(
    turn: Turn, first: Answer, client: ModelClient, table: Table | None = None, *, confined: bool = True
) -> AsyncGenerator[Event | Drawn]:
    """Run a script, have it repaired while it fails; the last item is the `Drawn`.

    Without the cage nothing is repaired: only the script that the user has seen may run.

    Raises:
        SandboxError: it cannot be run safely here.
        AssistantError: as `assistant.turn.take`.
    """
    if confined:
        check_available()
    answer, repairs = first, 0
    failed: list[str | None] = []
    while True:
        yield Note("Running the script …")
        outcome, pictures, description = await _tried(answer, table, confined=confined)
        if pictures:
            yield Drawn(answer, pictures, description, repairs)
            return
        said = _said(outcome)
        yield Note(f"The script failed: {said.splitlines()[-1] if said else f'status {outcome.status}'}")
        if repairs == REPAIRS or not confined:
            yield Drawn(answer, (), "", repairs, said)
            return
        repairs += 1
        warmth = WARMER if answer.code in failed else turn.temperature
        failed.append(answer.code)
        try:
            async with aclosing(take(replace(_repair(turn, answer, said), temperature=warmth), client)) as events:
                async for event in events:
                    if isinstance(event, Answer):
                        answer = replace(event, usage=answer.usage + event.usage)
                    else:
                        yield event
        except NoEdit as refusal:
            yield Drawn(answer, (), "", repairs, f"{said}\n{refusal.message}")
            return


def _repair(turn: Turn, answer: Answer, said: str) -> Turn:
    attempt = fenced(answer.code or "", PYTHON)
    question = f"{turn.question}\n\nThis script was written for it, and it fails:\n\n{attempt}\n\n{fenced(said)}\n\nCorrect it."
    return replace(turn, question=question)


async def _tried(answer: Answer, table: Table | None, *, confined: bool) -> tuple[Outcome, tuple[bytes, ...], str]:
    """How the script ended, its pictures and the description of their figures."""
    folder = await asyncio.to_thread(_laid_out, answer.code or "", table)
    try:
        command = (sys.executable, "-P", "-m", "assistant.cage.figure", "figure.py", "figure.png")
        environment = {"MPLCONFIGDIR": str(folder / "home"), "MPLBACKEND": "Agg"}
        outcome = await run(Job(command, folder, environment=environment, limits=Limits(seconds=SECONDS), confined=confined))
        return outcome, *await asyncio.to_thread(_result, folder, outcome)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _laid_out(code: str, table: Table | None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="starchat-plot-")).resolve()
    (folder / "figure.py").write_text(code, encoding="utf-8")
    if table is not None:
        shutil.copyfile(table.path, folder / table.path.name)
    return folder


def _result(folder: Path, outcome: Outcome) -> tuple[tuple[bytes, ...], str]:
    """The pictures, and the description; links, with which a script could have other files read, are not followed."""
    description = folder / "figure.png.json"
    if not outcome.passed or not description.is_file() or description.is_symlink():
        return (), ""
    try:
        text = description.read_text(encoding="utf-8")
        figures = len(json.loads(text))
    except (ValueError, TypeError):  # the script wrote there itself
        return (), ""
    names = ["figure.png", *(f"figure-{number}.png" for number in range(2, min(figures, MOST_FIGURES) + 1))]
    paths = (folder / name for name in names)
    found = (path.read_bytes() for path in paths if path.is_file() and not path.is_symlink())
    return tuple(picture for picture in found if picture.startswith(_PNG)), text


def _said(outcome: Outcome) -> str:
    """What the script printed last; why it was stopped, where it was."""
    lines = [line for line in outcome.output.splitlines() if line.strip()][-_MOST_LINES:]
    stopped = {
        "time": f"It did not end within {SECONDS:.0f} s.",
        "memory": "It took too much memory.",
        "processes": "It started too many processes.",
        "output": "It printed too much.",
        "disk": "It wrote too much.",
    }.get(outcome.stopped)
    return "\n".join([*lines, stopped] if stopped else lines)
