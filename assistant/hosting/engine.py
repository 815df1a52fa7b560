"""What every engine offers the host: token ids in, text pieces out, and a way to stop between any two tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from assistant.template import Tokenizer
from assistant.wire import FinishReason, Usage


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn.  A temperature of 0 takes the likeliest token (greedy)."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """One generation.

    prompt: token ids, with room for `max_tokens` more in the window (the host has clamped it).
    stop_ids: the reply ends before any of these; they are never part of the text.
    prediction: token ids of the text that the reply is likely to repeat; an engine may draft from it.
    owner: whose request it is; computed beginnings are never shared between owners.  Empty for the user's own programs.
    keep: whether its computed state may be kept on disk.
    alternatives: how many of the likeliest tokens are wanted at each place, with their log-probabilities.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    stop_ids: frozenset[int]
    sampling: Sampling = Sampling()
    prediction: tuple[int, ...] = ()
    owner: str = ""
    keep: bool = False
    alternatives: int = 0


@dataclass(frozen=True, slots=True)
class TokenScore:
    """How likely a given token was where it stands: its log-probability (natural), and the likeliest ids with theirs."""

    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """Newly decoded text and the ids that were generated since the last piece.

    `text` is whole characters only, and may be empty while a character is still incomplete.  Joined, the texts of all
    pieces are the reply; joined, their ids are what was generated (without the stop id).
    scores: one for each id where alternatives were asked for, before any temperature; None for an id without one.
    """

    text: str
    ids: tuple[int, ...]
    scores: tuple[TokenScore | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """The last item of a stream: why it ended and what it cost."""

    reason: FinishReason
    usage: Usage


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the host tells others about an engine.

    context_length: tokens that prompt and reply may hold together.
    end_ids: every id that the model's own configuration calls an end of text or turn.
    slots: how many streams may be open at once.
    description: one line for people, such as "llama.cpp, Q4_K_M, CPU, 2 threads".
    vocabulary: ids lie below this; a prompt of ids is checked against it.  None: the engine checks by itself.
    interleaves: whether, in the thread that drives a stream, another may be driven whenever `cancelled` is asked.
    """

    context_length: int
    end_ids: frozenset[int]
    slots: int
    description: str
    vocabulary: int | None = None
    interleaves: bool = False


class Engine(Protocol):
    """A loaded model.  `stream` blocks and is driven from a worker thread; up to `info.slots` run at once."""

    @property
    def info(self) -> EngineInfo: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    def stream(self, request: EngineRequest, cancelled: Callable[[], bool]) -> Iterator[Piece | Finish]:
        """Generate: pieces, then exactly one `Finish`.

        `cancelled` is asked between any two tokens and any two prefill chunks; once it answers True the stream ends with
        `Finish("cancelled", …)` and holds no KV cache for this request beyond a reusable prefix.

        Raises:
            OutOfMemory: the request does not fit, with numbers; the engine stays usable.
        """
        ...

    def close(self) -> None:
        """Free the weights.  No stream may be open."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """An engine that can say how likely given tokens are.  `score` blocks as `Engine.stream` does, and takes its slot."""

    def score(self, ids: tuple[int, ...], top: int, cancelled: Callable[[], bool]) -> Iterator[tuple[TokenScore, ...]]:
        """The score of each of `ids` but the first, given those before it, in runs; ends early once `cancelled` says so.

        Raises:
            OutOfMemory: the request does not fit.
        """
        ...
