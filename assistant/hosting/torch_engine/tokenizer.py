"""The tokenizer of a Hugging Face folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from assistant.errors import ModelError
from assistant.exact_tokenizer import ExactTokenizer


class FolderTokenizer(ExactTokenizer):
    """The one encoder over a folder's `tokenizer.json` and the files beside it.

    Raises:
        ModelError: there is no such file, or it is malformed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            super().__init__(_pipeline(folder), Tokenizer.from_str)
        except ModelError:
            raise
        except Exception as error:  # the Rust library raises plain Exception for every malformed file
            raise _damaged(folder, error) from error


def _pipeline(folder: Path) -> dict[str, Any]:
    """The content of `tokenizer.json`, with the added tokens that only the files beside it name."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(
            f"{folder} has no tokenizer.json.", "Save the tokenizer again with a fast tokenizer, or choose another model."
        )
    raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    known = {token["content"] for token in raw["added_tokens"]}
    beside = {name: number for name, number in _named_beside(folder) if name not in known}
    raw["added_tokens"] += [
        {"id": number, "content": name, "lstrip": False, "rstrip": False} for name, number in beside.items()
    ]
    return raw


def _named_beside(folder: Path) -> Iterator[tuple[str, int]]:
    path = folder / "added_tokens.json"
    if path.is_file():
        yield from json.loads(path.read_text(encoding="utf-8")).items()
    path = folder / "tokenizer_config.json"
    if path.is_file():
        for number, token in json.loads(path.read_text(encoding="utf-8")).get("added_tokens_decoder", {}).items():
            yield token["content"], int(number)


def _damaged(folder: Path, error: Exception) -> ModelError:
    return ModelError(
        f"The tokenizer of {folder} cannot be read: {(str(error) or type(error).__name__).splitlines()[0]}.",
        "Download the model again.",
    )
