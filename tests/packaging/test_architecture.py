"""ARCHITECTURE.md is a map of this tree: every module of `assistant` is on it, and everything on it is there."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
MAP = PAGE[PAGE.index("## Packages") : PAGE.index("## Invariants")]


def test_every_module_of_assistant_is_on_the_map() -> None:
    modules = {path.name for path in (REPOSITORY / "assistant").glob("*.py")} - {"__init__.py"}
    folders = {f"{path.name}/" for path in (REPOSITORY / "assistant").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert {name for name in modules | folders if name not in MAP} == set()


def test_everything_on_the_map_is_there() -> None:
    named = set(re.findall(r"\b([a-z_]+\.py)\b", MAP))
    assert {name for name in named if not any((REPOSITORY / "assistant").rglob(name))} == set()


def test_every_decision_is_numbered_and_short() -> None:
    decisions = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))
    assert [path.name[:4] for path in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]}: ")
        for heading in ("## Context", "## Decision", "## Price"):
            assert heading in text, f"{path.name} lacks {heading!r}"
