"""The hosts that run, and how they are ended."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx2
from filelock import FileLock, Timeout

from assistant import address, crashes
from assistant.address import HostRecord, host_file
from assistant.client import local
from assistant.errors import HostError

_ANSWER_SECONDS = 5.0
_DRAIN_SECONDS = 10.0
_POLL = 0.03


@dataclass(frozen=True, slots=True)
class Running:
    """A living host.  `health` is the body of its `/health`, None where it did not answer within 5 seconds."""

    record: HostRecord
    health: Mapping[str, Any] | None


async def running() -> list[Running]:
    """All living hosts of this user."""
    records = [record for key in address.known_keys() if is_alive(key) and (record := address.read(key)) is not None]
    return [
        Running(record, health) for record, health in zip(records, await asyncio.gather(*map(health_of, records)), strict=True)
    ]


async def stop(hosts: list[Running]) -> None:
    """End hosts: each may finish what it is doing for 10 seconds, is then stopped, and at last killed."""
    await asyncio.gather(*(_stop(host.record) for host in hosts))


async def retire(key: str, tell: Callable[[], None]) -> None:
    """Make room for a new host of `key`: a living one finishes its work and ends, a dead one's traces are removed.

    The caller holds the start lock.  `tell` is called now and then while there is something to wait for.
    """
    record = address.read(key)
    if record is not None and is_alive(key) and not await ask_to_stop(record):
        _signal(record, signal.SIGTERM)
    while is_alive(key):
        tell()
        await asyncio.sleep(_POLL)
    left = address.read(key)
    if left is not None or host_file(key, "json").exists():
        crashes.note(key)  # a host that ends by itself takes its address with it
        host_file(key, "json").unlink(missing_ok=True)
    if left is not None:
        address.remove_socket(left)


def is_alive(key: str) -> bool:
    """Whether a host of `key` lives: it holds its lock from its first moment to its last, however it ends."""
    if not host_file(key, "lock").exists():
        return False
    lock = FileLock(host_file(key, "lock"), mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


async def health_of(record: HostRecord) -> Mapping[str, Any] | None:
    """The body of the host's `/health`; None where nobody answers within 5 seconds."""
    client = local(record)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await client.health()
    except (HostError, TimeoutError):
        return None
    finally:
        await client.close()


async def ask_to_stop(record: HostRecord) -> bool:
    """Ask a host to finish its work and end; False where it did not hear."""
    client = local(record)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await client.stop_host()
    except (HostError, TimeoutError, httpx2.HTTPError):
        return False
    else:
        return True
    finally:
        await client.close()


async def _stop(record: HostRecord) -> None:
    if await ask_to_stop(record) and await _gone(record.key, _DRAIN_SECONDS):
        return
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        if address.read(record.key) not in (record, None) or not is_alive(record.key):
            return
        _signal(record, number)
        if await _gone(record.key, 3.0):
            break
    address.remove(record)


def _signal(record: HostRecord, number: int) -> None:
    """The process is the host that wrote the record, as long as that one lives: only its own lock tells so."""
    with suppress(OSError):
        os.kill(record.pid, number)


async def _gone(key: str, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while is_alive(key):
        if time.monotonic() > end:
            return False
        await asyncio.sleep(_POLL)
    return True
