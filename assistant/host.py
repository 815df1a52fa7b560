"""The model host of this user and model: found where it runs, started where it does not.

Nothing here knows what goes on inside the host; it is a process that writes down its address and answers `/health`.
Two locks keep order: a host holds `KEY.lock` as long as it lives, so that a dead one is told from a living one whatever became
of its process number; a front end holds `KEY.start.lock` while it starts one, so that twenty at once start one host.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from filelock import FileLock, Timeout

from assistant import address, crashes
from assistant.address import HostRecord, host_file
from assistant.client import ModelClient, Waiting, local
from assistant.errors import HostError, from_code
from assistant.hosts import Running, health_of, is_alive, retire, running, stop
from assistant.models.spec import ModelSpec
from assistant.settings import Settings, hosts_folder
from assistant.spawning import Spawned, last_words, spawn
from assistant.streaming import silent

__all__ = ["Running", "Watch", "connect", "running", "stop"]

Watch = Callable[[Waiting], None]

POLL = 0.03
_SILENT_SECONDS = 30.0


async def connect(spec: ModelSpec, settings: Settings, watch: Watch) -> ModelClient:
    """A client of the host that serves `spec`, its model loaded; `watch` hears what is being waited for.

    It takes milliseconds where the host runs, so connect anew for every turn: a host ends when it has been idle, and the next
    turn then starts one.  Loading may take as long as it takes; only a dead process ends the wait.

    Raises:
        HostError: the host cannot be started, or has crashed too often.
        AssistantError: the model could not be loaded, and why.
    """
    while True:
        record = await _usable(spec.key, watch) or await _start_alone(spec, settings, watch)
        client = local(record, private=not settings.history)
        try:
            if await _loaded(client, record, watch):
                return client
        except BaseException:
            await client.close()
            raise
        await client.close()


async def _loaded(client: ModelClient, record: HostRecord, watch: Watch) -> bool:
    """Wait until the model is loaded; False where the host is about to end and another is needed."""
    while True:
        try:
            async with asyncio.timeout(_SILENT_SECONDS):
                health = await client.health(hold=True)
        except TimeoutError as error:
            raise silent() from error
        except HostError as error:
            if is_alive(record.key):
                await asyncio.sleep(POLL)
                continue
            if address.read(record.key) is None:
                return False
            raise HostError(
                f"The model host ended while it loaded {record.model}: {last_words(record.key)}", _advice(record.key)
            ) from error
        if health["status"] == "failed":
            raise failure_in(health)
        if health["status"] != "loading":
            return bool(health["status"] == "ok")
        watch(Waiting("loading", progress=health.get("progress")))
        await asyncio.sleep(POLL)


async def _start_alone(spec: ModelSpec, settings: Settings, watch: Watch) -> HostRecord:
    """Start a host, unless somebody else did while we waited for the right to."""
    async with _start_lock(spec.key, watch):
        record = await _usable(spec.key, watch)
        if record is not None:
            return record
        watch(Waiting("starting"))
        await retire(spec.key, lambda: watch(Waiting("starting", note="A host of another version is finishing its work.")))
        crashes.refuse_if_too_many(spec.key)
        return await _started(spec, spawn(spec, settings.idle_minutes), watch)


async def _started(spec: ModelSpec, process: Spawned, watch: Watch) -> HostRecord:
    while True:
        record = address.read(spec.key)
        if record is not None:
            return record
        if process.ended:
            crashes.note(spec.key)
            raise HostError(f"The model host did not start: {last_words(spec.key, process.status)}", _advice(spec.key))
        watch(Waiting("starting"))
        await asyncio.sleep(POLL)


async def _usable(key: str, watch: Watch) -> HostRecord | None:
    """The running host of `key` that runs our code and takes requests; None where one must be started.

    Raises:
        HostError: a host is alive, but says nothing.
    """
    end = time.monotonic() + _SILENT_SECONDS
    while time.monotonic() < end:
        record = address.read(key)
        if record is not None and not record.is_ours:
            return None
        health = await health_of(record) if record is not None else None
        if health is not None:
            return None if health["status"] == "draining" else record
        if not is_alive(key):
            return None
        watch(Waiting("starting"))
        await asyncio.sleep(POLL)  # it is about to write down its address, or about to be gone
    raise silent()


@asynccontextmanager
async def _start_lock(key: str, watch: Watch) -> AsyncIterator[None]:
    hosts_folder()
    lock = FileLock(host_file(key, "start.lock"), mode=0o600, thread_local=False)
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            watch(Waiting("starting"))
            await asyncio.sleep(POLL)
    try:
        yield
    finally:
        lock.release()


def failure_in(health: Mapping[str, Any]) -> Exception:
    """The error that `/health` tells of."""
    error = health.get("error") or {}
    return from_code(
        str(error.get("code")), str(error.get("message", "The model cannot be loaded.")), str(error.get("remedy", ""))
    )


def _advice(key: str) -> str:
    return f"Its log is {host_file(key, 'log')}; try again, or choose another model with -m."
