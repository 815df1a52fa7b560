"""A fast tokenizer, reduced to what a template needs: exact round trips, and no control id from any text.

The pipeline of `tokenizer.json` (https://huggingface.co/docs/tokenizers) is kept but for what adds or changes text: the
post-processor (which adds BOS), prefix spaces, and normalisation that loses something (NFC and the like).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from assistant.errors import ModelError

_LOSSY = {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Strip", "StripAccents", "Prepend", "BertNormalizer", "Nmt", "Precompiled"}


class FolderTokenizer:
    """Implements `assistant.template.Tokenizer` over a folder's `tokenizer.json`.

    The round trip is exact for every byte-level vocabulary (GPTBigCode, Starcoder2, Qwen, Llama 3).  A SentencePiece
    vocabulary cannot tell its word mark U+2581 from a space; there, text that holds this character comes back with spaces.
    """

    def __init__(self, folder: Path) -> None:
        try:
            pipeline = _plain(_pipeline(folder))
            self._tokenizer: Tokenizer = Tokenizer.from_str(json.dumps(pipeline))
        except ModelError:
            raise
        except Exception as error:  # the Rust library raises plain Exception for every malformed file
            raise _damaged(folder, error) from error
        # All added tokens are marked special in `_plain`, and with this no special token is found in text.
        self._tokenizer.encode_special_tokens = True
        self._controls = {str(token["content"]): int(token["id"]) for token in pipeline["added_tokens"]}
        if any(self._tokenizer.token_to_id(name) != number for name, number in self._controls.items()):
            raise _damaged(folder, ValueError("two tokens claim one id"))
        self._control_ids = frozenset(self._controls.values())

    def control_id(self, name: str) -> int | None:
        """The id of the added token called `name`, or None."""
        return self._controls.get(name)

    def encode(self, text: str) -> list[int]:
        """The ids of `text` as data: never an added token's, and nothing added."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids if self._control_ids.isdisjoint(ids) else list(self._in_parts(text))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, exactly; added tokens appear under their names, unknown ids not at all."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    def _in_parts(self, text: str) -> Iterator[int]:
        """The ids of a text of which the model's own vocabulary would make an added token, made of ever smaller parts."""
        if len(text) < 2:
            raise ModelError(
                f"The tokenizer has no token for {text!r} but a control token.", "This model cannot be used; choose another."
            )
        middle = len(text) // 2
        yield from self.encode(text[:middle])
        yield from self.encode(text[middle:])


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


def _plain(pipeline: dict[str, Any]) -> dict[str, Any]:
    added = [{**token, "special": True, "single_word": False, "normalized": False} for token in pipeline["added_tokens"]]
    return {
        **pipeline,
        "model": _with_ids(pipeline["model"], added),
        "added_tokens": sorted(added, key=lambda token: int(token["id"])),
        "post_processor": None,
        "truncation": None,
        "padding": None,
        "normalizer": _steps(pipeline.get("normalizer"), "normalizers"),
        "pre_tokenizer": _steps(pipeline.get("pre_tokenizer"), "pretokenizers"),
        "decoder": _steps(pipeline.get("decoder"), "decoders"),
    }


def _with_ids(model: dict[str, Any], added: list[dict[str, Any]]) -> dict[str, Any]:
    """The model with the added tokens in its vocabulary; the library numbers those that are not there as it likes."""
    if not isinstance(model["vocab"], dict):
        return model
    return {**model, "vocab": model["vocab"] | {token["content"]: token["id"] for token in added}}


def _steps(step: dict[str, Any] | None, children: str) -> dict[str, Any] | None:
    """A normaliser, pre-tokenizer or decoder without the parts that change text; None where nothing is left."""
    if step is None or step["type"] in _LOSSY:
        return None
    if step["type"] == "Sequence":
        kept = [part for part in (_steps(child, children) for child in step[children]) if part is not None]
        return {**step, children: kept} if kept else None
    if step["type"] == "Metaspace":
        return {**step, "prepend_scheme": "never", "add_prefix_space": False}
    return {**step, "add_prefix_space": False} if "add_prefix_space" in step else step


def _damaged(folder: Path, error: Exception) -> ModelError:
    return ModelError(
        f"The tokenizer of {folder} cannot be read: {(str(error) or type(error).__name__).splitlines()[0]}.",
        "Download the model again.",
    )
