"""What an editor's user is told: settings, where errors name options of the shell."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import assistant
from assistant.errors import HostError
from server.failures import answer_of, said

OPTION = re.compile(r"(?:with|:) -m\b|--(?:model|endpoint|device|quantization|dtype|threads)\b")


def remedies() -> Iterator[str]:
    """Every line of text in `assistant`, its shell left out, that names an option for which editors have a setting."""
    folder = Path(assistant.__file__).parent
    for path in folder.rglob("*.py"):
        if "cli" not in path.relative_to(folder).parts:
            nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.JoinedStr | ast.Constant)]
            inner = {
                id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node
            }
            texts = [text_of(node) for node in nodes if id(node) not in inner]
            yield from (text for text in texts if OPTION.search(text) and "\n" not in text)


def text_of(node: ast.JoinedStr | ast.Constant) -> str:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "value" for part in parts)


def test_no_option_of_the_shell_is_named() -> None:
    found = {text: said(HostError("It failed.", text)) for text in remedies()}
    assert len(found) > 10
    assert {text: told for text, told in found.items() if OPTION.search(told)} == {}


@pytest.mark.parametrize(
    ("remedy", "told"),
    [
        ("Choose a stronger model with -m.", "Choose a stronger model in the settings."),
        (
            "Use --quantization bnb-8bit, or --device cpu.",
            "Use `bnb-8bit` as the setting `quantization`, or `cpu` as the setting `device`.",
        ),
        ("Use --device cuda:0.", "Use `cuda:0` as the setting `device`."),
        (
            "Check it, or leave --endpoint out to use a local model.",
            "Check it, or leave the setting `endpoint` empty to use a local model.",
        ),
        ("Give its path: -m FILE.gguf.", "Give its path: `FILE.gguf` as the setting `model`."),
        (
            "Leave --dtype out, or use --dtype float32.",
            "Leave the setting `dtype` empty, or use `float32` as the setting `dtype`.",
        ),
        ("Run `assistant stop --all`.", "Run `assistant stop --all`."),
    ],
)
def test_settings_are_named_in_their_place(remedy: str, told: str) -> None:
    error = answer_of(HostError("It failed.", remedy))
    assert error["message"] == f"It failed. {told}"
    assert error["data"] == {"code": HostError.code, "remedy": told}
