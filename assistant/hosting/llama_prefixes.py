"""What of earlier conversations llama.cpp need not read again: those in its memory, and those on disk.

llama.cpp looks for the longest beginning in memory by itself.  Here is decided whether it may, since what one token's owner
asked must not be felt by another's; whether an entry on disk is worth more; and when the state of a conversation is put there.
"""

from __future__ import annotations

import logging
import threading
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import AssistantError
from assistant.hosting.engine import EngineRequest
from assistant.hosting.llama_server import LlamaServer
from assistant.hosting.prefix_store import PrefixStore, shared

log = logging.getLogger("assistant.hosting")

WORTH_RESTORING = 16
"""Tokens that an entry on disk must save beyond those in memory; reading it puts another conversation out of the slot."""

REST_SECONDS = 2.0
"""How long the engine must have been idle before a conversation is written down; one that goes on is written down later."""

_REMEMBERED = 1 << 18
"""Tokens of past conversations whose owners are remembered: several times more than llama.cpp has memory for (`cache_mib`),
since it must hold none whose owner is forgotten."""


@dataclass(eq=False, slots=True)
class Turn:
    """A request under way: what it has computed so far, and whether llama.cpp may take up what it has in memory.

    era: of the store, when it began; what was erased since is not written down.
    """

    request: EngineRequest
    reuse: bool
    ids: list[int]
    era: str = ""


class Prefixes:
    """The prefixes of one engine with one slot; at most one turn is open at a time.  `store` None keeps nothing on disk."""

    def __init__(self, server: LlamaServer, store: PrefixStore | None, allowed: Callable[[], bool] = lambda: True) -> None:
        self._server = server
        self._store = store
        self._allowed = allowed
        self._alone = threading.Lock()
        self._past: deque[tuple[str, array[int]]] = deque()
        self._unkept: Turn | None = None
        self._rest: threading.Timer | None = None

    @contextmanager
    def turn(self, request: EngineRequest) -> Iterator[Turn]:
        """The engine for one request alone, with the best beginning at hand; `Turn.ids` is to grow by what is generated."""
        self._cancel_rest()
        with self._alone:
            if not self._server.holds(len(request.prompt) + request.max_tokens):
                self._put_away()
                self._past.clear()
                self._server.widen()
            self._restore(request)
            era = self._store.era() if self._store and request.keep else ""
            turn = Turn(request, self._may_reuse(request), list(request.prompt), era)
            try:
                yield turn
            finally:
                self._remember(request.owner, turn.ids)
                self._unkept = turn if request.keep else None
                self._begin_rest()

    def put_away(self) -> None:
        """Write the last conversation down, where it is to be kept."""
        self._cancel_rest()
        with self._alone:
            self._put_away()

    def _may_reuse(self, request: EngineRequest) -> bool:
        """Whether the longest beginning in memory is of the same owner: which tokens are quick would tell what others asked."""
        own = max((shared(ids, request.prompt) for owner, ids in self._past if owner == request.owner), default=0)
        foreign = max((shared(ids, request.prompt) for owner, ids in self._past if owner != request.owner), default=0)
        return own >= foreign

    def _remember(self, owner: str, ids: Sequence[int]) -> None:
        """Note whose these tokens are, in place of those that they continue."""
        self._past = deque(one for one in self._past if one[0] != owner or shared(one[1], ids) < len(one[1]))
        self._past.append((owner, array("i", ids)))
        left = sum(len(past) for _, past in self._past)
        while left > _REMEMBERED and len(self._past) > 1:
            left -= len(self._past.popleft()[1])

    def _restore(self, request: EngineRequest) -> None:
        if self._store is None or not self._allowed():
            return
        found = self._store.best(request.prompt, request.owner)
        own = max((shared(ids, request.prompt) for owner, ids in self._past if owner == request.owner), default=0)
        if found is None or found[1] < own + WORTH_RESTORING:
            return
        self._put_away()
        entry = found[0]
        if self._store.sound(entry) and self._server.holds(len(entry.ids)):
            with suppress(AssistantError):
                self._server.restore(f"{entry.name}.kv")
                self._remember(request.owner, entry.ids)

    def _put_away(self) -> None:
        turn, self._unkept = self._unkept, None
        if turn is None or self._store is None or not self._allowed():
            return

        def write(path: Path) -> int:
            try:
                return self._server.save(path.name)
            except AssistantError as error:
                raise OSError from error

        if self._store.keep(turn.ids, turn.request.owner, write, turn.era):
            log.info("prefix kept tokens=%d", len(turn.ids))

    def _begin_rest(self) -> None:
        if self._store is not None and self._unkept is not None:
            self._rest = threading.Timer(REST_SECONDS, self.put_away)
            self._rest.daemon = True
            self._rest.start()

    def _cancel_rest(self) -> None:
        rest, self._rest = self._rest, None
        if rest is not None:
            rest.cancel()
