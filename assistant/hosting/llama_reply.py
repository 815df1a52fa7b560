"""A reply put together from what llama.cpp says: whole characters, exact ids, why it ended and what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from assistant.hosting.detokenizer import Detokenizer
from assistant.hosting.engine import EngineRequest, Finish, Piece
from assistant.hosting.llama_events import Event, recover
from assistant.hosting.llama_vocabulary import Vocabulary
from assistant.wire import FinishReason, Usage


@dataclass(slots=True)
class Reply:
    """What is known of a reply so far; `read` takes each event, `end` says the rest."""

    request: EngineRequest
    vocabulary: Vocabulary
    reason: FinishReason = "cancelled"
    usage: Usage = field(init=False)
    detokenizer: Detokenizer = field(init=False)
    held: tuple[int, ...] = ()
    """A control token that no stop id names may turn out to be the model's own end, which is no part of the reply."""
    done: int = 0

    def __post_init__(self) -> None:
        self.detokenizer = Detokenizer(self.vocabulary.decode)
        self.usage = Usage(len(self.request.prompt))

    def read(self, event: Event) -> Iterator[Piece]:
        """The piece that this event completes, if it completes one."""
        if event.cached is not None:
            self.usage = Usage(self.usage.prompt, cached=event.cached)
        elif event.stop:
            self._ended(event)
        elif event.token in self.request.stop_ids:
            self.reason = "stop"
        else:
            yield from self._grown(event)

    def end(self) -> Iterator[Piece | Finish]:
        """What was held back, and the finish."""
        text = self.detokenizer.decode(self.held) + self.detokenizer.flush()
        if text or self.held:
            yield Piece(text, self.held)
        usage = self.usage
        yield Finish(self.reason, Usage(usage.prompt, self.done, usage.cached, usage.accepted, usage.rejected))

    def _grown(self, event: Event) -> Iterator[Piece]:
        ids = (*self.held, *recover(event, self.done, self.vocabulary))
        self.done = event.generated
        self.held = ids if event.token in self.vocabulary.control_ids else ()
        if ids and not self.held:
            scores = (*(None for _ in ids[1:]), event.score) if self.request.alternatives else ()
            yield Piece(self.detokenizer.decode(ids), ids, scores)

    def _ended(self, event: Event) -> None:
        wrong = event.drafted - event.accepted
        self.usage = Usage(self.usage.prompt, 0, self.usage.cached, event.accepted, wrong)
        if event.stop != "eos":
            self.reason, self.done = "length", event.generated
        elif self.reason != "stop":
            self.reason, self.done, self.held = "stop", self.done - 1, self.held[:-1]
