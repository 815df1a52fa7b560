"""The header of a safetensors file, checked before anything opens the file.

Source: https://github.com/huggingface/safetensors#format: eight bytes of length (little endian), a JSON object from tensor
name to `{dtype, shape, data_offsets}`, then the data without gaps.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from assistant.errors import ModelError

_HEADER_LIMIT = 100_000_000
_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
}


def check_safetensors(path: Path) -> None:
    """Make sure that every tensor lies within the file, none overlap, and no byte is left over.

    Raises:
        ModelError: the file is truncated or malformed.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            raise _broken(path, "it is truncated: its header is longer than the file")
        if length > _HEADER_LIMIT:
            raise _broken(path, "its header is absurdly long")
        header = stream.read(length)
    try:
        table = json.loads(header)
        table.pop("__metadata__", None)
        spans = sorted(_span(path, name, row) for name, row in table.items())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _broken(path, "its header is not what the format asks for") from error
    _check_spans(path, spans, size - 8 - length)


def _span(path: Path, name: str, row: dict[str, Any]) -> tuple[int, int]:
    begin, end = row["data_offsets"]
    shape = row["shape"]
    if not all(type(number) is int and 0 <= number < 1 << 62 for number in (begin, end, *shape)):
        raise _broken(path, f"tensor {name[:60]!r} has impossible numbers")
    if (end - begin) * 8 != math.prod(shape) * _BITS[row["dtype"]]:
        raise _broken(path, f"tensor {name[:60]!r} does not fit its place")
    return begin, end


def _check_spans(path: Path, spans: list[tuple[int, int]], data: int) -> None:
    position = 0
    for begin, end in spans:
        if begin != position:
            raise _broken(path, "its tensors overlap or leave gaps")
        position = end
    if position > data:
        raise _broken(path, f"it is truncated: {position - data} bytes are missing")
    if position < data:
        raise _broken(path, f"{data - position} bytes too many follow its tensors")


def _broken(path: Path, what: str) -> ModelError:
    return ModelError(f"{path.name} cannot be used: {what}.", "Fetch the file again from its publisher.")
