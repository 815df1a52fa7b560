"""The vocabulary of a GGUF file: the bytes of each token, and which tokens are control tokens.

Byte-level vocabularies write each byte as a printable character; the table is GPT-2's (`bytes_to_unicode` in
https://github.com/openai/gpt-2/blob/master/src/encoder.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from assistant.errors import ModelError

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4
_PRINTABLE = frozenset((*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)))
_TO_BYTE = {256 + place: byte for place, byte in enumerate(byte for byte in range(256) if byte not in _PRINTABLE)}
_END_KEYS = ("eos", "eot", "eom")


@dataclass(frozen=True)
class Vocabulary:
    """Every token of a model; bytes are worked out when they are asked for, since there are 150,000 tokens.

    names: for each id, how the file writes it.
    special: names of the tokens that stand for themselves: control tokens and others outside the byte-level alphabet.
    controls: control tokens by name.
    matched: names that llama.cpp would find in text even with `parse_special=false`, longest first.
    end_ids: what the file itself calls an end of text or turn.
    """

    names: Sequence[bytes]
    special: Mapping[int, str]
    controls: Mapping[str, int]
    matched: tuple[str, ...]
    end_ids: frozenset[int]

    def piece(self, token: int) -> bytes:
        """The bytes of a token; those of its name where it is a control token."""
        name = self.special.get(token)
        return _bytes(self.names[token]) if name is None else name.encode()

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, with U+FFFD for bytes that are no character."""
        return b"".join(map(self.piece, ids)).decode(errors="replace")

    @cached_property
    def unfinished(self) -> Mapping[bytes, int]:
        """Ids, by their bytes, of the tokens that may end inside a character: their last byte is no ASCII."""
        pieces = ((self.piece(token), token) for token, name in enumerate(self.names) if name[-1:] >= b"\x80")
        return {piece: token for piece, token in pieces if piece[-1] >= 0x80 and token not in self.special}

    @cached_property
    def control_ids(self) -> frozenset[int]:
        """The ids of `controls`."""
        return frozenset(self.controls.values())

    @cached_property
    def missing(self) -> frozenset[int]:
        """Bytes that no token stands for.  SmolLM2 lacks some control characters and unassigned planes; Qwen lacks none."""
        known = {self.piece(token) for token, name in enumerate(self.names) if len(name) <= 2 and token not in self.special}
        return frozenset(byte for byte in range(256) if bytes((byte,)) not in known)


def read_vocabulary(metadata: Mapping[str, Any], name: str) -> Vocabulary:
    """The vocabulary in a GGUF file's metadata; `name` is the model's, for messages.

    Raises:
        ModelError: the vocabulary is missing or not byte-level BPE.
    """
    if metadata.get("tokenizer.ggml.model") != b"gpt2":
        raise ModelError(
            f"{name} has a vocabulary that is not byte-level BPE, which cannot be encoded exactly here.",
            "Choose another model; `assistant models` lists those that work.",
        )
    try:
        names: Sequence[bytes] = metadata["tokenizer.ggml.tokens"]
        kinds: Sequence[int] = metadata["tokenizer.ggml.token_type"]
        return _vocabulary(names, kinds, _ends(metadata))
    except (KeyError, UnicodeDecodeError, IndexError) as problem:
        raise ModelError(f"The vocabulary of {name} is damaged ({problem!r}).", "Download the model again.") from problem


def writable(text: str, vocabulary: Vocabulary) -> str:
    """`text` with U+FFFD for every character that the vocabulary cannot write; llama.cpp would pass over it in silence."""
    if vocabulary.missing.isdisjoint(text.encode()):
        return text
    return "".join(one if vocabulary.missing.isdisjoint(one.encode()) else "\ufffd" for one in text)


def unmatched(text: str, vocabulary: Vocabulary) -> Iterator[str]:
    """`text` in parts, cut inside every name that would become a control token; joined, they are `text`."""
    for name in vocabulary.matched:
        place = text.find(name)
        if place >= 0:
            yield from unmatched(text[: place + 1], vocabulary)
            yield from unmatched(text[place + 1 :], vocabulary)
            return
    yield text


def spellings(data: bytes, count: int, vocabulary: Vocabulary) -> tuple[int, ...] | None:
    """`count` ids whose bytes, joined, are `data`, each of which ends inside a character; None if there are none.

    Long tokens are tried first, as byte-pair encoding prefers them.
    """
    if count == 0:
        return None if data else ()
    for end in range(len(data) - count + 1, 0, -1):
        token = vocabulary.unfinished.get(data[:end])
        rest = spellings(data[end:], count - 1, vocabulary) if token is not None else None
        if token is not None and rest is not None:
            return (token, *rest)
    return None


def _vocabulary(names: Sequence[bytes], kinds: Sequence[int], ends: frozenset[int]) -> Vocabulary:
    special = {token: names[token].decode() for token, kind in enumerate(kinds) if kind != _NORMAL}
    controls = {name: token for token, name in special.items() if _is_control(name, kinds[token])}
    matched = {name for token, name in special.items() if kinds[token] == _USER_DEFINED and name in controls}
    return Vocabulary(names, special, controls, tuple(sorted(matched, key=len, reverse=True)), ends)


def _is_control(name: str, kind: int) -> bool:
    """Some converters file control tokens as `user defined`, together with plain ones such as runs of spaces."""
    return kind in (_CONTROL, _UNKNOWN) or (kind == _USER_DEFINED and name[:1] == "<" and name[-1:] == ">")


def _bytes(name: bytes) -> bytes:
    return name.decode().translate(_TO_BYTE).encode("latin-1", "replace")


def _ends(metadata: Mapping[str, Any]) -> frozenset[int]:
    found = (metadata.get(f"tokenizer.ggml.{key}_token_id") for key in _END_KEYS)
    return frozenset(token for token in found if isinstance(token, int))
