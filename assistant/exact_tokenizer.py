"""A fast tokenizer, reduced to what a template needs: exact round trips, and no control id from any text.

The pipeline of `tokenizer.json` (https://huggingface.co/docs/tokenizers) is kept but for what adds or changes text: the
post-processor (which adds BOS), prefix spaces, and normalisation that loses something (NFC and the like).  The model host and
training both encode with this, so that a model is served the ids that it was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from assistant.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_LOSSY = {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Strip", "StripAccents", "Prepend", "BertNormalizer", "Nmt", "Precompiled"}


class ExactTokenizer:
    """Implements `assistant.template.Tokenizer` over the content of a `tokenizer.json`.

    The round trip is exact for every byte-level vocabulary (GPTBigCode, Starcoder2, Qwen, Llama 3).  A SentencePiece
    vocabulary cannot tell its word mark U+2581 from a space; there, text that holds this character comes back with spaces.
    """

    def __init__(self, pipeline: Mapping[str, Any], parse: Callable[[str], Tokenizer]) -> None:
        """`parse`: `tokenizers.Tokenizer.from_str`, given by those who may load the library.

        Raises:
            ValueError: two added tokens claim one id; and whatever `parse` raises.
        """
        plain = _plain(pipeline)
        self._tokenizer = parse(json.dumps(plain))
        # All added tokens are marked special in `_plain`, and with this no special token is found in text.
        self._tokenizer.encode_special_tokens = True
        self._controls = {str(token["content"]): int(token["id"]) for token in plain["added_tokens"]}
        if any(self._tokenizer.token_to_id(name) != number for name, number in self._controls.items()):
            raise ValueError("two tokens claim one id")
        self._control_ids = frozenset(self._controls.values())

    def __len__(self) -> int:
        """How many tokens there are, added ones included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

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


def _plain(pipeline: Mapping[str, Any]) -> dict[str, Any]:
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
