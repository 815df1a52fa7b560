"""The engine for machines without a GPU: GGUF files on llama.cpp, inside the host process.

One stream at a time gets the whole machine; llama.cpp keeps the KV cache of earlier conversations in memory and takes it up
again where a prompt begins alike.  The prompt is computed in small batches, since generation can be stopped only between them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from assistant.errors import AssistantError
from assistant.hosting.engine import EngineInfo, EngineRequest, Finish, Piece, Sampling
from assistant.hosting.llama_events import Event, read_event, read_single
from assistant.hosting.llama_gguf import read_header
from assistant.hosting.llama_memory import admit
from assistant.hosting.llama_prefixes import Prefixes, Turn
from assistant.hosting.llama_reply import Reply
from assistant.hosting.llama_server import Limits, LlamaServer
from assistant.hosting.llama_vocabulary import Vocabulary, read_vocabulary, unmatched, writable
from assistant.hosting.prefix_store import PrefixStore
from assistant.hosting.weights import identity
from assistant.models.hardware import probe
from assistant.models.spec import ModelSpec
from assistant.prefixes import may_be_kept, prefixes_folder

BATCH = 64
"""Prompt tokens between two chances to stop."""

_READ_BYTES = 8 << 20


def open(spec: ModelSpec, report: Callable[[float], None]) -> LlamaEngine:
    """The engine with the GGUF file at `spec.path` loaded; `report` hears the fraction that is done.

    Raises:
        ModelError: the file is missing, damaged or of a kind that cannot run here.
        OutOfMemory: weights and KV cache do not fit into the memory that is free.
    """
    header = read_header(spec.path)
    vocabulary = read_vocabulary(header.metadata, spec.name)
    budget = admit(header, spec)
    _read_ahead(spec.path, header.file_bytes, report)
    threads = spec.threads or _threads(probe().cores)
    store = _store(spec)
    states = store.folder if store else None
    server = LlamaServer(spec.path, Limits(budget.context_length, threads, BATCH, budget.cache_mib, states))
    report(1.0)
    description = f"llama.cpp, {header.quantization}, CPU, {threads} thread{'s' if threads > 1 else ''}"
    info = EngineInfo(budget.context_length, vocabulary.end_ids, 1, description, len(vocabulary.names))
    return LlamaEngine(server, vocabulary, info, Prefixes(server, store, may_be_kept))


@dataclass(frozen=True, slots=True)
class LlamaTokenizer:
    """llama.cpp's own tokenizer for text, the file's vocabulary for everything else."""

    server: LlamaServer
    vocabulary: Vocabulary

    def control_id(self, name: str) -> int | None:
        return self.vocabulary.controls.get(name)

    def encode(self, text: str) -> list[int]:
        parts = unmatched(writable(text, self.vocabulary), self.vocabulary)
        return [token for part in parts if part for token in self.server.tokenize(part)]

    def decode(self, ids: Sequence[int]) -> str:
        return self.vocabulary.decode(ids)


@dataclass(frozen=True, slots=True)
class LlamaEngine:
    """A GGUF model; see `Engine`."""

    server: LlamaServer
    vocabulary: Vocabulary
    info: EngineInfo
    prefixes: Prefixes

    @property
    def tokenizer(self) -> LlamaTokenizer:
        return LlamaTokenizer(self.server, self.vocabulary)

    def stream(self, request: EngineRequest, cancelled: Callable[[], bool]) -> Iterator[Piece | Finish]:
        """Generate in a thread of its own and hand on what it says; see `Engine.stream`."""
        with self.prefixes.turn(request) as turn:
            steps = self._scored if request.alternatives else self._stream
            for item in steps(turn, cancelled):
                turn.ids.extend(item.ids if isinstance(item, Piece) else ())
                yield item

    def _stream(self, turn: Turn, cancelled: Callable[[], bool]) -> Iterator[Piece | Finish]:
        request = turn.request
        news: _News = SimpleQueue()
        left = threading.Event()
        stops = request.stop_ids - self.info.end_ids  # at its own end llama.cpp stops by itself, with a word on the cost

        def enough(event: Event) -> bool:
            return event.token in stops or left.is_set() or cancelled()

        hear = partial(_hear, news, enough)
        worker = threading.Thread(target=_generate, args=(self.server, _body(turn), hear, news), daemon=True)
        worker.start()
        try:
            yield from _pieces(news, Reply(request, self.vocabulary))
        finally:
            left.set()
            worker.join()

    def _scored(self, turn: Turn, cancelled: Callable[[], bool]) -> Iterator[Piece | Finish]:
        """Generate token by token: llama.cpp does not tell how likely a drafted token was, and cannot be kept from drafting."""
        request, reply = turn.request, Reply(turn.request, self.vocabulary)
        read = self._single({**_body(turn), "n_predict": 0}, read_event, cancelled)
        yield from chain.from_iterable(reply.read(event) for event in read if event.cached is not None)
        ids = list(request.prompt)
        for count in range(1, request.max_tokens + 1):
            if cancelled():
                break
            body = {
                **_body(turn),
                **_sampling(_numbered(request.sampling, count)),
                "prompt": ids,
                "n_predict": 1,
                "stream": False,
            }
            body |= {"n_probs": request.alternatives, "cache_prompt": True}  # what the slot holds now is this request's own
            events = self._single(body, partial(read_single, generated=count), cancelled)
            yield from chain.from_iterable(map(reply.read, events))
            token = events[-1].token if events else None
            if token in self.info.end_ids:
                yield from reply.read(Event(generated=count, stop="eos"))
            if token is None or reply.reason == "stop":
                break
            ids.append(token)
        else:
            yield from reply.read(Event(generated=request.max_tokens, stop="limit"))
        yield from reply.end()

    def _single(
        self,
        body: dict[str, Any],
        read: Callable[[dict[str, Any]], Event | AssistantError],
        cancelled: Callable[[], bool],
    ) -> list[Event]:
        """The events of one call of llama.cpp, once it is over."""
        heard: list[Event | AssistantError] = []

        def hear(raw: dict[str, Any]) -> bool:
            heard.append(read(raw))
            return isinstance(heard[-1], AssistantError) or cancelled()

        self.server.generate(body, hear)
        for event in heard:
            if isinstance(event, AssistantError):
                raise event
        return [event for event in heard if isinstance(event, Event)]

    def close(self) -> None:
        """Put the last conversation away; free the weights and the socket's folder."""
        self.prefixes.put_away()
        self.server.close()


_News = SimpleQueue[Event | AssistantError | None]


def _generate(server: LlamaServer, body: dict[str, Any], hear: Callable[[dict[str, Any]], bool], news: _News) -> None:
    try:
        server.generate(body, hear)
    except AssistantError as error:
        news.put(error)
    finally:
        news.put(None)


def _hear(news: _News, enough: Callable[[Event], bool], raw: dict[str, Any]) -> bool:
    """Pass an event on; True tells llama.cpp to stop, which it does before the next token or batch."""
    event = read_event(raw)
    news.put(event)
    return isinstance(event, AssistantError) or enough(event)


def _pieces(news: _News, reply: Reply) -> Iterator[Piece | Finish]:
    while (event := news.get()) is not None:
        if isinstance(event, AssistantError):
            raise event
        yield from reply.read(event)
    yield from reply.end()


def _body(turn: Turn) -> dict[str, Any]:
    request = turn.request
    return {
        "prompt": list(request.prompt),
        "n_predict": request.max_tokens,
        "stream": True,
        "cache_prompt": turn.reuse,
        "verbose": True,
        "return_tokens": True,
        "return_progress": True,
        **_sampling(request.sampling),
    }


def _numbered(sampling: Sampling, count: int) -> Sampling:
    """A seed of its own for each token that is drawn by itself."""
    return sampling if sampling.seed is None else replace(sampling, seed=sampling.seed + count)


def _sampling(sampling: Sampling) -> dict[str, Any]:
    """Nothing but what the request says: llama.cpp's own defaults would cut the distribution in several ways."""
    if sampling.temperature <= 0:
        return {"samplers": ["top_k"], "top_k": 1, "temperature": 0.0}
    seed = {} if sampling.seed is None else {"seed": sampling.seed % 0xFFFFFFFF}
    return {"samplers": ["temperature", "top_p"], "temperature": sampling.temperature, "top_p": sampling.top_p, **seed}


def _store(spec: ModelSpec) -> PrefixStore | None:
    """Where computed beginnings are kept; None where the disk does not allow it, which costs time only."""
    try:
        return PrefixStore(prefixes_folder(), identity(spec, "xllamacpp", kv="f16"))
    except AssistantError:
        return None


def _threads(cores: int) -> int:
    """One core is left to the editor, but two threads are twice as quick as one, so two cores are both used."""
    return min(cores, max(2, cores - 1))


def _read_ahead(path: Path, size: int, report: Callable[[float], None]) -> None:
    """Bring the file into memory piece by piece: loading itself cannot report, and holds up every other thread."""
    with path.open("rb", buffering=0) as file:
        if _in_memory(file.fileno(), size):
            return
        buffer = bytearray(_READ_BYTES)
        done = 0
        while count := file.readinto(buffer):
            done += count
            report(0.9 * done / size)


def _in_memory(descriptor: int, size: int) -> bool:
    """Whether the system has the file at hand already, by a sample; reading half a gigabyte just to see takes 0.1 s."""
    if not hasattr(os, "preadv") or not hasattr(os, "RWF_NOWAIT"):
        return False
    try:
        return all(os.preadv(descriptor, [bytearray(1)], place, os.RWF_NOWAIT) for place in range(0, size, _READ_BYTES // 2))
    except OSError:  # it would have to wait, or the file system cannot say
        return False
