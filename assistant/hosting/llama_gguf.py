"""The header of a GGUF file: metadata without the weights.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from struct import Struct, error
from typing import Any

from assistant.errors import ModelError

_HEAD = Struct("<4sIQQ")
_COUNT = Struct("<Q")
_TYPE = Struct("<I")
_ARRAY = Struct("<IQ")
_STRING, _LIST = 8, 9
_SCALARS = {kind: Struct("<" + code) for kind, code in zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True)}

_FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
}
_FILE_TYPES |= {13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 32: "BF16"}


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says of itself.

    metadata: keys and values; strings are bytes, arrays are lists or tuples.
    file_bytes: size of the whole file, which is close to that of the weights.
    """

    metadata: Mapping[str, Any]
    file_bytes: int

    @property
    def architecture(self) -> str:
        """Such as `qwen2`; the prefix of the keys that describe the network."""
        return bytes(self.metadata["general.architecture"]).decode()

    @property
    def context_length(self) -> int:
        """Tokens of the window that the model was trained for."""
        return int(self.metadata[f"{self.architecture}.context_length"])

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of the KV cache for one token, in 16 bits: layers x KV heads x (key + value length) x 2."""
        heads = self._network("attention.head_count")
        kv_heads = self._network("attention.head_count_kv", heads)
        length = self._network("embedding_length") // heads
        both = self._network("attention.key_length", length) + self._network("attention.value_length", length)
        return self._network("block_count") * kv_heads * both * 2

    @property
    def quantization(self) -> str:
        """Such as `Q4_K_M`; `GGUF` where the number is not one of the common kinds."""
        return _FILE_TYPES.get(self.metadata.get("general.file_type", -1), "GGUF")

    def _network(self, key: str, otherwise: int | None = None) -> int:
        value = self.metadata.get(f"{self.architecture}.{key}", otherwise)
        return int(max(value) if isinstance(value, list | tuple) else value)  # some networks list a value for each layer


def read_header(path: Path) -> Header:
    """Read the metadata of the file at `path`.

    Raises:
        ModelError: the file is missing, unreadable, cut short or not GGUF.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _sensible(Header(_metadata(data), len(data)))
    except OSError as problem:
        raise ModelError(f"The model file {path} cannot be read: {problem.strerror}.", "Check the path.") from problem
    except (ValueError, KeyError, TypeError, IndexError, error, ZeroDivisionError) as problem:
        raise ModelError(
            f"{path} is not a whole GGUF file ({problem}).", "Download it again, or give the path of a GGUF file."
        ) from problem


def _sensible(header: Header) -> Header:
    if header.context_length < 1 or header.kv_bytes_per_token < 1:
        raise ValueError("the network's sizes make no sense")
    return header


def _metadata(data: mmap.mmap) -> dict[str, Any]:
    magic, version, _, entries = _HEAD.unpack_from(data, 0)
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError("it does not begin as one")
    found: dict[str, Any] = {}
    place = _HEAD.size
    for _ in range(entries):
        key, place = _string(data, place)
        (kind,) = _TYPE.unpack_from(data, place)
        found[key.decode()], place = _value(data, place + _TYPE.size, kind)
    return found


def _value(data: mmap.mmap, place: int, kind: int) -> tuple[Any, int]:
    if kind == _STRING:
        return _string(data, place)
    if kind == _LIST:
        return _list(data, place)
    scalar = _SCALARS[kind]
    return scalar.unpack_from(data, place)[0], place + scalar.size


def _list(data: mmap.mmap, place: int) -> tuple[Any, int]:
    kind, count = _ARRAY.unpack_from(data, place)
    place += _ARRAY.size
    if count > len(data):
        raise ValueError("a list is longer than the file")
    if kind in _SCALARS:
        whole = Struct(f"<{count}{_SCALARS[kind].format[1:]}")
        return whole.unpack_from(data, place), place + whole.size
    if kind == _STRING:
        return _strings(data, place, count)
    values = []
    for _ in range(count):
        value, place = _value(data, place, kind)
        values.append(value)
    return values, place


def _strings(data: mmap.mmap, place: int, count: int) -> tuple[list[bytes], int]:
    """Several strings; a vocabulary has 150,000 of them and as many merges, so this loop is where the time goes."""
    values = []
    length_at, width = _COUNT.unpack_from, _COUNT.size
    for _ in range(count):
        start = place + width
        place = start + length_at(data, place)[0]
        values.append(data[start:place])
    if place > len(data):
        raise ValueError("it is cut short")
    return values, place


def _string(data: mmap.mmap, place: int) -> tuple[bytes, int]:
    start = place + _COUNT.size
    end = start + _COUNT.unpack_from(data, place)[0]
    if end > len(data):
        raise ValueError("it is cut short")
    return data[start:end], end
