"""The vocabulary of a GGUF file: the bytes of each token, and which tokens are control tokens.

Byte-level vocabularies write each byte as a printable character; the table is GPT-2's (`bytes_to_unicode` in
https://github.com/openai/gpt-2/blob/master/src/encoder.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.errors import ModelError

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4
_END_KEYS = ("eos", "eot", "eom")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Every token of a model.

    pieces: for each id, its bytes; a control token's are those of its name.
    ids: the inverse of `pieces` for tokens that are not control tokens.
    controls: control tokens by name.
    matched: names that llama.cpp would find in text even with `parse_special=false`, longest first.
    end_ids: what the file itself calls an end of text or turn.
    """

    pieces: Sequence[bytes]
    ids: Mapping[bytes, int]
    controls: Mapping[str, int]
    matched: tuple[str, ...]
    end_ids: frozenset[int]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, with U+FFFD for bytes that are no character."""
        return b"".join(self.pieces[token] for token in ids).decode(errors="replace")


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
    """`count` ids whose bytes, joined, are `data`, where the text stays incomplete before the last; None if there are none.

    Long tokens are tried first, as byte-pair encoding prefers them.
    """
    if count == 0:
        return None if data else ()
    for end in range(len(data) - count + 1, 0, -1):
        token = vocabulary.ids.get(data[:end])
        rest = spellings(data[end:], count - 1, vocabulary) if token is not None else None
        if token is not None and rest is not None:
            return (token, *rest)
    return None


def _vocabulary(names: Sequence[bytes], kinds: Sequence[int], ends: frozenset[int]) -> Vocabulary:
    to_byte = {ord(character): byte for byte, character in _byte_characters()}
    special = {token: names[token].decode() for token, kind in enumerate(kinds) if kind != _NORMAL}
    pieces = [b"" if token in special else _bytes(name, to_byte.__getitem__) for token, name in enumerate(names)]
    for token, name in special.items():
        pieces[token] = name.encode()
    controls = {name: token for token, name in special.items() if _is_control(name, kinds[token])}
    matched = {name for token, name in special.items() if kinds[token] == _USER_DEFINED and name in controls}
    ids = {piece: token for token, piece in enumerate(pieces) if token not in special}
    return Vocabulary(pieces, ids, controls, tuple(sorted(matched, key=len, reverse=True)), ends)


def _is_control(name: str, kind: int) -> bool:
    """Some converters file control tokens as `user defined`, together with plain ones such as runs of spaces."""
    return kind in (_CONTROL, _UNKNOWN) or (kind == _USER_DEFINED and name[:1] == "<" and name[-1:] == ">")


def _bytes(name: bytes, byte_of: Callable[[int], int]) -> bytes:
    return bytes(map(byte_of, map(ord, name.decode())))


def _byte_characters() -> Iterator[tuple[int, str]]:
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    yield from ((byte, chr(byte)) for byte in printable)
    yield from ((byte, chr(256 + place)) for place, byte in enumerate(byte for byte in range(256) if byte not in printable))


def _ends(metadata: Mapping[str, Any]) -> frozenset[int]:
    found = (metadata.get(f"tokenizer.ggml.{key}_token_id") for key in _END_KEYS)
    return frozenset(token for token in found if isinstance(token, int))
