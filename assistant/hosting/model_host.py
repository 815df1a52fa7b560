"""The host's state: the engine, once it is loaded, and the queue in front of it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assistant.address import HostRecord
from assistant.errors import AssistantError, HostError, ModelError, OutOfMemory
from assistant.hosting.engine import Engine
from assistant.hosting.opening import open_engine, template_of
from assistant.hosting.scheduler import Scheduler
from assistant.hosting.silence import fall_silent
from assistant.models.spec import ModelSpec
from assistant.template import Template

log = logging.getLogger("assistant.hosting")

Status = Literal["loading", "ok", "failed", "draining"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded model and the template that it is spoken to with."""

    engine: Engine
    template: Template


class ModelHost:
    """One per process.  Everything here belongs to the event loop's thread, `progress` apart."""

    def __init__(self, spec: ModelSpec, record: HostRecord) -> None:
        self.spec = spec
        self.record = record
        self.scheduler = Scheduler()
        self.encoder = ThreadPoolExecutor(1, "encoder")  # tokenizers need not be safe to use from several threads
        self.progress = 0.0
        self.error: AssistantError | None = None
        self.draining = False
        self.last_work = time.monotonic()
        self.ended = asyncio.Event()
        self.doors: list[str] = []
        self.closing: set[asyncio.Future[None]] = set()
        self._loaded: asyncio.Future[Loaded] = asyncio.get_running_loop().create_future()

    @property
    def status(self) -> Status:
        """What `/health` calls it."""
        if self.draining:
            return "draining"
        if self.error is not None:
            return "failed"
        return "ok" if self._loaded.done() else "loading"

    def load(self) -> None:
        """Start loading in a thread of its own; `loaded` waits for it."""
        loop = asyncio.get_running_loop()

        def work() -> None:
            try:
                engine = open_engine(self.spec, self._report)
                loaded = Loaded(engine, template_of(self.spec, engine.tokenizer))
            except BaseException as error:
                failure = as_failure(error, "The model cannot be loaded")
                loop.call_soon_threadsafe(self._failed, failure)
            else:
                loop.call_soon_threadsafe(self._ready, loaded)

        threading.Thread(target=work, name="loading", daemon=True).start()

    async def loaded(self, every: float) -> Loaded | None:
        """The loaded model, or None after `every` seconds without it.

        Raises:
            AssistantError: loading failed.
        """
        try:
            async with asyncio.timeout(every):
                return await asyncio.shield(self._loaded)
        except TimeoutError:
            return None

    def drain(self) -> None:
        """Take no more requests, and end once those under way are done."""
        self.draining = True
        self.scheduler.refuse(HostError("The model host is about to end.", "Send the request again."))
        if not self.scheduler.active + self.scheduler.queued:
            self.ended.set()

    def end(self) -> None:
        """Stop everything under way and end."""
        self.drain()
        self.scheduler.cancel_all()
        if not self._loaded.done():
            self._failed(HostError("The model host was stopped.", "Send the request again."))
        self.ended.set()

    async def close(self, seconds: float) -> None:
        """Let the engine put away what it has on disk, if it is idle and needs no longer than `seconds`."""
        if self.error is None and self._loaded.done() and not self.scheduler.active:
            closing = asyncio.get_running_loop().run_in_executor(self.encoder, self._loaded.result().engine.close)
            await asyncio.wait((closing,), timeout=seconds)

    def health(self) -> dict[str, object]:
        """The body of `/health`."""
        loaded = self._loaded.result() if self.status == "ok" and not self._loaded.cancelled() else None
        body: dict[str, object] = {
            "status": self.status,
            "model": self.spec.name,
            "protocol": self.record.protocol,
            "version": self.record.version,
            "build": self.record.build,
            "pid": self.record.pid,
            "progress": round(self.progress, 3),
            "active": self.scheduler.active,
            "queued": self.scheduler.queued,
            "context_length": loaded.engine.info.context_length if loaded else None,
            "engine": loaded.engine.info.description if loaded else None,
            "uptime_s": round(time.time() - self.record.started, 1),
            "idle_s": 0.0 if self.scheduler.active else round(time.monotonic() - self.last_work, 1),
            "memory_bytes": resident_bytes(),
            "tasks": len(asyncio.all_tasks()),
            "serves": list(self.doors),
        }
        return body | ({"error": error_body(self.error)} if self.error else {})

    def _report(self, fraction: float) -> None:
        self.progress = min(1.0, max(self.progress, fraction))

    def _ready(self, loaded: Loaded) -> None:
        if self._loaded.done():
            return  # the host ends
        fall_silent()
        self.progress, self.last_work = 1.0, time.monotonic()
        self._loaded.set_result(loaded)
        info = loaded.engine.info
        self.scheduler.open_slots(info.slots, interleaves=info.interleaves)
        log.info("loaded engine=%s seconds=%.1f", loaded.engine.info.description, time.time() - self.record.started)

    def _failed(self, error: AssistantError) -> None:
        if self._loaded.done():
            return
        self.error = error
        self._loaded.set_exception(error)
        self._loaded.exception()  # nobody may be waiting, and that is fine
        self.scheduler.refuse(error)
        log.error("load failed code=%s message=%s", error.code, error.message)


def as_failure(error: BaseException, what: str) -> AssistantError:
    """`error` as one that can be shown; of foreign ones only the kind, since their text may quote the user's."""
    if isinstance(error, AssistantError):
        return error
    log.error("%s kind=%s at=%s", what, type(error).__name__, _place(error))
    if isinstance(error, MemoryError):
        return OutOfMemory(f"{what}: memory ran out.", "Choose a smaller model.")
    kind = ModelError if what.endswith("loaded") else HostError
    return kind(f"{what}: {type(error).__name__}.", "Try again; `assistant doctor` shows where the log is.")


def error_body(error: AssistantError) -> dict[str, object]:
    """The value of `error` on the wire."""
    return {"message": error.message, "remedy": error.remedy, "type": type(error).__name__, "code": error.code}


def resident_bytes() -> int | None:
    """Memory of this process that is resident, or its peak where only that is told; None on Windows."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        if sys.platform == "win32":
            return None
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _place(error: BaseException) -> str:
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " ".join(frames[-4:])
