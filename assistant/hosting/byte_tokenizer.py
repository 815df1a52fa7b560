"""A vocabulary of bytes, for engines that play a model."""

from __future__ import annotations

from collections.abc import Sequence


class ByteTokenizer:
    """Bytes of UTF-8 as ids, control tokens above them."""

    def __init__(self, controls: Sequence[str]) -> None:
        self._ids = {name: 256 + place for place, name in enumerate(controls)}
        self._names = {token: name.encode() for name, token in self._ids.items()}

    @property
    def size(self) -> int:
        """How many ids there are."""
        return 256 + len(self._ids)

    def control_id(self, name: str) -> int | None:
        return self._ids.get(name)

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(self._names.get(token) or bytes((token,)) for token in ids).decode(errors="replace")
