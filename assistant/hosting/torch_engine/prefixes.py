"""Which computed beginnings are kept, and which of them a prompt goes on from."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedConfig

from assistant.hosting.torch_engine.kv import KV, empty

# More conversations than one person has open at once; bytes, not their number, are what costs memory.
MOST = 16

# A tail of so few tokens is sooner computed again than its whole beginning copied.
_SHORT_TAIL = 32


class Prefixes:
    """The caches of the last conversations, the least recently used first, of all clients alike.

    budget: bytes that they may take, those of running requests included.  most: tokens that one of them may hold.
    """

    def __init__(self, config: PreTrainedConfig, budget: int, most: int) -> None:
        self._config = config
        self._budget = budget
        self._most = most
        self.kept: list[KV] = []

    def begin(self, prompt: Sequence[int]) -> KV:
        """The longest kept beginning of `prompt`; at least one token is left to compute, for its logits are needed."""
        best = max(self.kept, key=lambda kv: kv.shared(prompt), default=None)
        length = min(best.shared(prompt), len(prompt) - 1) if best else 0
        if best is None or length == 0:
            return empty(self._config, self._most)
        self.kept.remove(best)
        if len(best.ids) - length <= _SHORT_TAIL:
            best.crop(length)
            return best
        self.kept.append(best)
        return best.fork(length)

    def keep(self, kv: KV) -> None:
        """Keep a cache for later requests, unless it is of no further use."""
        if kv.reusable and kv.ids:
            self.kept.append(kv)
            self.make_room(0)

    def make_room(self, bytes_: int) -> None:
        """Forget the conversations used longest ago until so many bytes more fit."""
        while self.kept and (len(self.kept) > MOST or self.bytes + bytes_ > self._budget):
            self.kept.pop(0)

    def clear(self) -> None:
        """Forget all of them."""
        self.kept.clear()

    @property
    def bytes(self) -> int:
        """What they take now."""
        return sum(kv.bytes for kv in self.kept)
