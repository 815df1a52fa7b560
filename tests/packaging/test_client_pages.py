"""The pages of the editors: each client is in the overview, and each configuration can be read and uses settings that exist."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from server.options import received

CLIENTS = Path(__file__).parents[2] / "editor-clients"
PAGES = sorted(CLIENTS.glob("*/README.md"))
OVERVIEW = (CLIENTS / "CLIENTS.md").read_text(encoding="utf-8")


def test_every_client_is_in_the_overview() -> None:
    assert set(re.findall(r"\]\((\w+/README\.md)\)", OVERVIEW)) == {str(page.relative_to(CLIENTS)) for page in PAGES}


def test_a_page_says_whether_it_was_run() -> None:
    for name in ("helix", "kakoune", "vim", "sublime", "zed", "kate", "jetbrains"):
        assert re.search(
            r"\*\*(Not run|Run\*\* (once by hand )?with)", (CLIENTS / name / "README.md").read_text(encoding="utf-8")
        ), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_the_configurations_can_be_read(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```json\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        check(json.loads(block))
    for block in re.findall(r"^```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        check(tomllib.loads(block))


def check(value: object) -> None:
    """Whatever stands under `starchat` as settings must be understood."""
    if isinstance(value, dict):
        if (
            isinstance(value.get("starchat"), dict)
            and "command" not in value["starchat"]
            and "enabled" not in value["starchat"]
        ):
            assert received(value).model
        for each in value.values():
            check(each)
