"""Which computed beginnings are kept, in memory and on disk, and which of them a prompt goes on from."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from transformers import PreTrainedConfig

from assistant.hosting.engine import EngineRequest
from assistant.hosting.prefix_store import PrefixStore
from assistant.hosting.torch_engine import kv_files
from assistant.hosting.torch_engine.kv import KV, empty

log = logging.getLogger("assistant.hosting")

# More conversations than one person has open at once; bytes, not their number, are what costs memory.
MOST = 16

# A tail of so few tokens is sooner computed again than its whole beginning copied.
_SHORT_TAIL = 32

# Tokens that an entry on disk must save beyond what is in memory.
_WORTH_READING = 32

REST_SECONDS = 2.0
"""How long the engine must have been idle before a conversation is written down; one that goes on is written down later."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What caches of this engine look like.  most: tokens that one may hold."""

    config: PreTrainedConfig
    most: int
    format: kv_files.Format

    def empty(self) -> KV:
        """A cache without tokens."""
        return empty(self.config, self.most)


class Prefixes:
    """The caches of the last conversations, the least recently used first; each owner sees only their own.

    budget: bytes that they may take, those of running requests included.  store: where they outlive the host, if anywhere.
    allowed: whether conversations may be on disk just now.
    """

    def __init__(
        self, shape: Shape, budget: int, store: PrefixStore | None = None, allowed: Callable[[], bool] = lambda: True
    ) -> None:
        self._shape = shape
        self._budget = budget
        self._store = store
        self._allowed = allowed
        self._alone = threading.RLock()
        self._unwritten: list[tuple[KV, str]] = []
        self._rest: threading.Timer | None = None
        self.kept: list[tuple[KV, str]] = []

    def begin(self, request: EngineRequest) -> KV:
        """The longest kept beginning of the prompt; at least one token is left to compute, for its logits are needed."""
        self._cancel_rest()
        with self._alone:
            kv = self._best(request)
            kv.era = self._store.era() if self._store and request.keep else ""
            return kv

    def keep(self, kv: KV, request: EngineRequest) -> None:
        """Keep a cache for later requests, unless it is of no further use."""
        if not kv.reusable or not kv.ids:
            return
        with self._alone:
            self.kept.append((kv, request.owner))
            if request.keep and self._store:
                self._unwritten.append((kv, request.owner))
            self.make_room(0)
        if self._unwritten:
            self._rest = threading.Timer(REST_SECONDS, self.put_away)
            self._rest.daemon = True
            self._rest.start()

    def make_room(self, bytes_: int) -> None:
        """Forget the conversations used longest ago until so many bytes more fit."""
        with self._alone:
            while self.kept and (len(self.kept) > MOST or self.bytes + bytes_ > self._budget):
                gone = self.kept.pop(0)
                self._unwritten = [pair for pair in self._unwritten if pair[0] is not gone[0]]

    def put_away(self) -> None:
        """Write down the conversations that are to be kept, as far as they are not written yet."""
        self._cancel_rest()
        with self._alone:
            unwritten, self._unwritten = self._unwritten, []
            if self._store is None or not self._allowed():
                return
            for kv, owner in unwritten:
                if self._store.keep(list(kv.ids), owner, partial(kv_files.save, kv), kv.era):
                    log.info("prefix kept tokens=%d", len(kv.ids))

    def clear(self) -> None:
        """Forget all that is in memory."""
        with self._alone:
            self.kept.clear()
            self._unwritten.clear()

    @property
    def bytes(self) -> int:
        """What they take now."""
        return sum(kv.bytes for kv, _ in self.kept)

    def _best(self, request: EngineRequest) -> KV:
        own = [pair for pair in self.kept if pair[1] == request.owner]
        best = max(own, key=lambda pair: pair[0].shared(request.prompt), default=None)
        length = min(best[0].shared(request.prompt), len(request.prompt) - 1) if best else 0
        if read := self._from_disk(request, length):
            return read
        if best is None or length == 0:
            return self._shape.empty()
        return self._taken(best, length)

    def _taken(self, best: tuple[KV, str], length: int) -> KV:
        """The kept cache itself where little of it is lost by that, else a copy; it counts as used either way."""
        self.kept.remove(best)
        kv = best[0]
        if len(kv.ids) - length <= _SHORT_TAIL:
            self._unwritten = [pair for pair in self._unwritten if pair[0] is not kv]
            kv.crop(length)
            return kv
        self.kept.append(best)
        return kv.fork(length)

    def _from_disk(self, request: EngineRequest, length: int) -> KV | None:
        """What was kept on disk of the prompt, where it is longer than what is in memory."""
        if self._store is None or not self._allowed():
            return None
        found = self._store.best(request.prompt[:-1], request.owner)
        if found is None or found[1] < length + _WORTH_READING:
            return None
        (entry, shared), kv = found, self._shape.empty()
        path = self._store.folder / f"{entry.name}.kv"
        fits = kv.reusable and len(entry.ids) <= self._shape.most and self._store.sound(entry)
        if not fits or not kv_files.load(path, entry.ids, kv, self._shape.format):
            return None
        kv.crop(shared)
        return kv

    def _cancel_rest(self) -> None:
        rest, self._rest = self._rest, None
        if rest is not None:
            rest.cancel()
