"""The life of a host: listen at once, load behind it, end when idle, told to, or no longer findable."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from contextlib import suppress
from logging.handlers import RotatingFileHandler

from assistant import address
from assistant.hosting.app import make_app
from assistant.hosting.listening import listen
from assistant.hosting.model_host import ModelHost
from assistant.hosting.web import Server, configuration
from assistant.models.spec import ModelSpec

log = logging.getLogger("assistant.hosting")

LOG_BYTES = 2**20
_WATCH = 0.5
_ENDING = 1.3
_CLOSING = 0.5
AFTER_FAILURE = 1.0
"""Seconds that a host whose model failed to load stays, so that everyone who waits hears why."""


async def serve(spec: ModelSpec, idle_seconds: float) -> None:
    """Serve `spec` until there is a reason to end; then the address file and the socket are gone."""
    _log_to(spec.key)
    listener, record = listen(spec)
    host = ModelHost(spec, record)
    host.load()
    server = Server(configuration(make_app(host)))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    _end_on_signals(host)
    address.write(record)
    log.info("listening pid=%d transport=%s version=%s", record.pid, "unix" if record.socket else "tcp", record.version)
    watching = asyncio.create_task(_watch(host, idle_seconds))
    ended = asyncio.create_task(host.ended.wait())
    await asyncio.wait((serving, watching, ended), return_when=asyncio.FIRST_COMPLETED)
    address.remove(record)
    host.drain()
    server.should_exit = True
    await asyncio.wait((serving, *host.closing), timeout=_ENDING)
    await host.close(_CLOSING)
    log.info("ended uptime=%.0f", time.time() - record.started)


def _end_on_signals(host: ModelHost) -> None:
    loop = asyncio.get_running_loop()
    for name in ("SIGTERM", "SIGHUP", "SIGINT"):
        number = getattr(signal, name, None)
        with suppress(NotImplementedError, ValueError):  # Windows has no handlers in the loop
            if number is not None:
                loop.add_signal_handler(number, host.end)


async def _watch(host: ModelHost, idle_seconds: float) -> None:
    """Returns when the host has no more reason to live."""
    folder = address.host_file(host.spec.key, "json").parent
    while folder.is_dir():
        await asyncio.sleep(_WATCH)
        busy = host.scheduler.active + host.scheduler.queued
        if host.error is not None:
            await asyncio.sleep(AFTER_FAILURE)
            return
        if host.draining and not busy:
            return
        if busy or host.doors or host.status == "loading":
            host.last_work = time.monotonic()
        elif idle_seconds and time.monotonic() - host.last_work >= idle_seconds:
            log.info("idle")
            return
        if folder.is_dir() and address.read(host.spec.key) is None:
            address.write(host.record)


def _log_to(key: str) -> None:
    """Send our own log to the host's file; libraries stay silent, since their messages may quote what they are given."""
    handler = RotatingFileHandler(address.host_file(key, "log"), maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    with suppress(OSError):
        address.host_file(key, "log").chmod(0o600)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
