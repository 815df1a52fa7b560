"""From token ids to text as they come: whole characters only, with what is still incomplete held back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_REPLACEMENT = "\ufffd"
# A UTF-8 character has at most four bytes, so at most three replacement characters can still turn into one.
_UNSETTLED = 3
# A reply that is no valid UTF-8 at all must not make each step decode all of it again.
_LONGEST_WAIT = 64


class Detokenizer:
    """An incremental decoder: the texts of `decode` and the final `flush`, joined, are the text of all ids.

    `decode` is the tokenizer's own, which must write a replacement character (U+FFFD) for bytes that are no character.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._waiting: list[int] = []
        self._given = 0

    def decode(self, ids: Sequence[int]) -> str:
        """The text that `ids` complete; empty while a character is still incomplete."""
        self._waiting.extend(ids)
        text = self._decode(self._waiting)
        unsettled = min(len(text) - len(text.rstrip(_REPLACEMENT)), _UNSETTLED)
        if unsettled == 0 or len(self._waiting) > _LONGEST_WAIT:
            return self._settle(text)
        new = text[self._given : len(text) - unsettled]
        self._given += len(new)
        return new

    def flush(self) -> str:
        """What was held back, with replacement characters for what never became a character."""
        return self._settle(self._decode(self._waiting)) if self._waiting else ""

    def _settle(self, text: str) -> str:
        new = text[self._given :]
        self._waiting.clear()
        self._given = 0
        return new
