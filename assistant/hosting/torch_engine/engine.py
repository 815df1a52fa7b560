"""The torch engine itself: admits a request, streams its text, keeps its prefix."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch

from assistant.errors import ContextOverflow, OutOfMemory, UsageError
from assistant.hosting.detokenizer import Detokenizer
from assistant.hosting.engine import EngineInfo, EngineRequest, Finish, Piece, TokenScore
from assistant.hosting.prefix_store import PrefixStore
from assistant.hosting.torch_engine import memory, quantization
from assistant.hosting.torch_engine.decode import CPU, CPU_BF16, CPU_INT4, GPU, Pace, Step, generate
from assistant.hosting.torch_engine.kv import bucket
from assistant.hosting.torch_engine.kv_files import Format
from assistant.hosting.torch_engine.loading import Loaded
from assistant.hosting.torch_engine.prefixes import Prefixes, Shape
from assistant.hosting.torch_engine.scoring import SCORED_AT_ONCE, score
from assistant.hosting.torch_engine.tokenizer import FolderTokenizer
from assistant.models.cpu_format import shown
from assistant.prefixes import may_be_kept
from assistant.wire import Usage


class TorchEngine:
    """Implements `assistant.hosting.engine.Engine` over a loaded transformers model, one stream at a time.

    chunk: prompt tokens computed at a time, where not what suits the device.  drafts: whether to draft at all.
    store: where computed beginnings of conversations outlive the host; None keeps none.
    """

    def __init__(
        self, loaded: Loaded, chunk: int | None = None, *, drafts: bool = True, store: PrefixStore | None = None
    ) -> None:
        self._loaded = loaded
        pace = _pace(loaded)
        self._pace = replace(pace, chunk=chunk or pace.chunk, price=pace.price if drafts else math.inf)
        self._room = _room(loaded)
        self._info = _describe(loaded, self._room)
        form = Format(loaded.dtype, loaded.device, _kv_bytes(loaded))
        self._shape = Shape(loaded.config, min(self._room, self._info.context_length), form)
        self._running = 0  # bytes of the caches of streams under way
        self._prefixes = Prefixes(self._shape, self._room * _kv_bytes(loaded), store, may_be_kept)

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def tokenizer(self) -> FolderTokenizer:
        return self._loaded.tokenizer

    def stream(self, request: EngineRequest, cancelled: Callable[[], bool]) -> Iterator[Piece | Finish]:
        """See `Engine.stream`.

        Raises:
            UsageError: the prompt is empty or holds an id that is not in the vocabulary.
            ContextOverflow: the prompt leaves no room for a reply.
            OutOfMemory: its KV cache cannot fit.
        """
        request = self._admitted(request)
        needed = self._bytes(len(request.prompt) + request.max_tokens)
        kv = self._prefixes.begin(request)
        cached = len(kv.ids)
        self._prefixes.make_room(self._running + needed)
        self._running += needed
        try:
            with memory.told_as_out_of_memory(f"A request of {len(request.prompt)} tokens", self._loaded.free):
                steps = generate(self._loaded.forward, kv, request, cancelled, self._pace)
                yield from _pieces(steps, self.tokenizer, Usage(prompt=len(request.prompt), cached=cached))
        except OutOfMemory:
            self._prefixes.clear()
            _free_cached_memory()
            raise
        finally:
            self._running -= needed
            self._prefixes.keep(kv, request)

    def score(self, ids: tuple[int, ...], top: int, cancelled: Callable[[], bool]) -> Iterator[tuple[TokenScore, ...]]:
        """See `Scorer`."""
        for part in (ids[:-1], ids[-1:]):
            self._admitted(EngineRequest(part or ids, 1, frozenset()))
        with memory.told_as_out_of_memory(f"A text of {len(ids)} tokens", self._loaded.free):
            feed = partial(self._shape.empty().feed, self._loaded.forward)
            yield from score(feed, ids, top, cancelled, SCORED_AT_ONCE)

    def close(self) -> None:
        """Put the last conversation away and free the weights.  The engine is of no use afterwards."""
        self._prefixes.put_away()
        self._prefixes.clear()
        del self._loaded
        gc.collect()
        _free_cached_memory()

    def _bytes(self, tokens: int) -> int:
        """What the cache of so many tokens takes."""
        return bucket(tokens, min(self._room, self._info.context_length)) * _kv_bytes(self._loaded)

    def _admitted(self, request: EngineRequest) -> EngineRequest:
        """The request with `max_tokens` cut to the window; positions past it are an index error, on a GPU for good."""
        prompt, window = len(request.prompt), self._info.context_length
        if not prompt or not all(0 <= token < _vocabulary(self._loaded) for token in request.prompt):
            raise UsageError("The prompt is empty or holds ids that this model does not have.", "Send text instead of ids.")
        if prompt >= window:
            raise ContextOverflow(
                f"The prompt has {prompt} tokens and the window holds {window}.",
                "Send less: a smaller selection or a new chat.",
            )
        tokens = max(0, min(request.max_tokens, window - prompt))
        if self._running and self._running + self._bytes(prompt + tokens) > self._room * _kv_bytes(self._loaded):
            raise OutOfMemory("Another request fills the memory for KV caches.", "Try again when it is done.")
        if prompt + tokens > self._room:
            needed = memory.gigabytes((prompt + tokens) * _kv_bytes(self._loaded))
            raise OutOfMemory(
                f"{prompt} + {tokens} tokens need {needed} of KV cache; {memory.gigabytes(self._loaded.free)} are free.",
                "Ask for a shorter reply, send less, or choose a smaller quantisation.",
            )
        return replace(request, max_tokens=tokens)


def _pieces(steps: Iterator[Step], tokenizer: FolderTokenizer, usage: Usage) -> Iterator[Piece | Finish]:
    detokenizer = Detokenizer(tokenizer.decode)
    for step in steps:
        usage += Usage(completion=len(step.tokens), accepted=step.accepted, rejected=step.rejected)
        if step.tokens:
            # One by one: the detokenizer takes a long run of unfinished characters for none at all.
            yield Piece("".join(detokenizer.decode((token,)) for token in step.tokens), step.tokens, step.scores)
        if step.reason is not None:
            if rest := detokenizer.flush():
                yield Piece(rest, ())
            yield Finish(step.reason, usage)


def _pace(loaded: Loaded) -> Pace:
    if loaded.device.type != "cpu":
        return GPU
    if loaded.spec.quantization == "int4":
        return CPU_INT4
    return CPU_BF16 if loaded.dtype == torch.bfloat16 and loaded.spec.quantization == "none" else CPU


def _vocabulary(loaded: Loaded) -> int:
    return int(loaded.config.vocab_size)


def _kv_bytes(loaded: Loaded) -> int:
    return memory.kv_bytes_per_token(loaded.config, loaded.dtype)


def _room(loaded: Loaded) -> int:
    """Tokens whose KV cache fits beside the weights."""
    return max(0, loaded.free - memory.RESERVE) // _kv_bytes(loaded)


def _describe(loaded: Loaded, room: int) -> EngineInfo:
    own = int(getattr(loaded.config, "max_position_embeddings", None) or 2048)
    wanted = loaded.spec.context_length
    window = min(own, wanted) if wanted else min(own, max(room, 1))
    held = loaded.spec.quantization if loaded.spec.quantization != "none" else str(loaded.dtype).removeprefix("torch.")
    parts = ["torch", shown(held), str(loaded.device)]
    if quantization.held(loaded.spec.quantization) != loaded.spec.quantization:
        parts[1] += " held in 8 bits"
    if loaded.why:
        parts[1] += f" ({loaded.why})"
    if loaded.device.type == "cpu":
        parts.append(f"{loaded.threads} thread{'s' if loaded.threads > 1 else ''}")
    if sliding := getattr(loaded.config, "sliding_window", None):
        parts.append(f"sliding window {sliding}")
    return EngineInfo(window, loaded.end_ids, 1, ", ".join(parts), _vocabulary(loaded), interleaves=True)


def _free_cached_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
