"""The header of a GGUF file, checked before anything opens the file.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from assistant.errors import ModelError

_MAGIC = b"GGUF"
_WIDTH = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY, _UINT32 = 8, 9, 4
_LIMITS = {"tensors": 1 << 20, "pairs": 1 << 16, "items": 1 << 24, "key": 1 << 16, "depth": 4}

# Elements and bytes of a block, by the number of the tensor type.
_BLOCKS = {
    **{0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36)},
    **{10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292)},
    **{16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82)},
    **{23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2)},
    **{34: (256, 54), 35: (256, 66), 39: (32, 17)},
}


@dataclass(frozen=True, slots=True)
class _Tensor:
    """end: where it ends, in bytes from the beginning of the data."""

    name: str
    elements: int
    end: int


@dataclass(slots=True)
class _Reader:
    """A cursor over the header; reading past the end is an EOFError."""

    stream: BinaryIO
    left: int

    def take(self, count: int) -> bytes:
        self.left -= count
        if self.left < 0:
            raise EOFError
        return self.stream.read(count)

    def skip(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise EOFError
        self.stream.seek(count, 1)

    def u32(self) -> int:
        return int(struct.unpack("<I", self.take(4))[0])

    def u64(self) -> int:
        return int(struct.unpack("<Q", self.take(8))[0])


def check_gguf(path: Path) -> None:
    """Make sure that the header can be read and that every tensor lies within the file.

    Raises:
        ModelError: the file is no GGUF, truncated or malformed.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        reader = _Reader(stream, size)
        try:
            if reader.take(4) != _MAGIC:
                raise _broken(path, "it is no GGUF file")
            tensors, alignment = _read_header(reader, path)
        except EOFError as error:
            raise _broken(path, "it is truncated: its header ends too early") from error
        data = -(-stream.tell() // alignment) * alignment
    end = max((tensor.end for tensor in tensors), default=0)
    if data + end > size:
        raise _broken(path, f"it is truncated: {data + end - size} bytes are missing")


def tensor_sizes(path: Path) -> dict[str, int]:
    """How many numbers each tensor of a file has that was checked."""
    with path.open("rb") as stream:
        reader = _Reader(stream, path.stat().st_size)
        reader.take(len(_MAGIC))
        tensors, _ = _read_header(reader, path)
    return {tensor.name: tensor.elements for tensor in tensors}


def _read_header(reader: _Reader, path: Path) -> tuple[list[_Tensor], int]:
    """The tensors, and how their data is aligned, in bytes."""
    version, tensors, pairs = reader.u32(), reader.u64(), reader.u64()
    if version not in (2, 3):
        raise _broken(path, f"GGUF version {version} is not known here")
    if tensors > _LIMITS["tensors"] or pairs > _LIMITS["pairs"]:
        raise _broken(path, "its header announces absurdly many entries")
    alignment = 32
    for _ in range(pairs):
        key = reader.take(_length(reader, path))
        kind = reader.u32()
        if key == b"general.alignment" and kind == _UINT32:
            alignment = reader.u32()
        else:
            _skip_value(reader, kind, path)
    if not 1 <= alignment <= 1 << 16:
        raise _broken(path, "its data is aligned absurdly")
    return [_tensor(reader, path) for _ in range(tensors)], alignment


def _skip_value(reader: _Reader, kind: int, path: Path, depth: int = 0) -> None:
    if kind in _WIDTH:
        reader.skip(_WIDTH[kind])
    elif kind == _STRING:
        reader.skip(reader.u64())
    elif kind == _ARRAY and depth < _LIMITS["depth"]:
        inner, count = reader.u32(), reader.u64()
        if count > _LIMITS["items"]:
            raise _broken(path, "its header announces absurdly many entries")
        if inner in _WIDTH:
            reader.skip(_WIDTH[inner] * count)
        else:
            for _ in range(count):
                _skip_value(reader, inner, path, depth + 1)
    else:
        raise _broken(path, f"its header holds a value of unknown type {kind}")


def _tensor(reader: _Reader, path: Path) -> _Tensor:
    name = reader.take(_length(reader, path)).decode(errors="replace")
    dimensions = reader.u32()
    if dimensions > 8:
        raise _broken(path, "a tensor has absurdly many dimensions")
    elements = math.prod(reader.u64() for _ in range(dimensions))
    kind, offset = reader.u32(), reader.u64()
    per_block, block_bytes = _BLOCKS.get(kind, (256, 1))
    return _Tensor(name, elements, offset + elements // per_block * block_bytes)


def _length(reader: _Reader, path: Path) -> int:
    length = reader.u64()
    if length > _LIMITS["key"]:
        raise _broken(path, "its header holds an absurdly long name")
    return length


def _broken(path: Path, what: str) -> ModelError:
    return ModelError(f"{path.name} cannot be used: {what}.", "Fetch the file again from its publisher.")
