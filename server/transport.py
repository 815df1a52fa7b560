"""Standard input and output as a connection: one thread reads, one thread writes, the event loop does everything else.

Neither a client that sends nothing nor one that reads nothing can keep the loop from its work.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
from collections.abc import Callable
from typing import cast

from server import failures
from server.app import connect
from server.framing import Broken, Frames, frame
from server.protocol import Protocol
from server.session import Session

log = logging.getLogger(__name__)

_PIECE = 1 << 16
_LAST_WORDS_SECONDS = 1.0


def serve_stdio() -> int:
    """Serve one editor on standard input and output; returns the exit code."""
    reading, writing = _take_over()
    writer = _Writer(writing)
    code = asyncio.new_event_loop().run_until_complete(_serve(reading, writer))
    writer.close()
    return code


async def _serve(reading: int, writer: _Writer) -> int:
    ended = asyncio.Event()
    session = connect(lambda body: writer.put(frame(body)))
    protocol = _protocol(session)
    frames = Frames()
    loop = asyncio.get_running_loop()

    def take(data: bytes) -> None:
        for item in frames.feed(data) if data else ():
            if protocol.exited:
                break
            _deliver(session, item)
        if not data or protocol.exited:
            ended.set()

    _start(lambda: _read(reading, lambda data: loop.call_soon_threadsafe(take, data)), "reader")
    await ended.wait()
    await _wind_up(session)
    return int(protocol.exit_code)


def _deliver(session: Session, item: bytes | Broken) -> None:
    protocol = _protocol(session)
    try:
        if isinstance(item, Broken):
            protocol.refuse(failures.PARSE_ERROR, item.reason)
        else:
            protocol.receive(item)
    except Exception as error:  # the last net: one bad message must not cost those behind it
        log.warning("A message could not be handled: %s", type(error).__name__)


def _protocol(session: Session) -> Protocol:
    return cast(Protocol, session.editor.protocol)


async def _wind_up(session: Session) -> None:
    """Stop all jobs, and give them a moment to let go of the model."""
    tasks = session.stop_all()
    if tasks:
        await asyncio.wait(tasks, timeout=_LAST_WORDS_SECONDS)


def _take_over() -> tuple[int, int]:
    """The two ends of the connection; what anything else prints from now on goes to standard error."""
    reading, writing = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    return reading, writing


def _read(reading: int, deliver: Callable[[bytes], object]) -> None:
    try:
        while data := os.read(reading, _PIECE):
            deliver(data)
        deliver(b"")
    except (OSError, RuntimeError):  # the loop has ended before its input
        return


class _Writer:
    """A queue of frames and the one thread that writes them, each whole."""

    def __init__(self, writing: int) -> None:
        self._frames: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = _start(lambda: self._write(writing), "writer")

    def put(self, data: bytes) -> None:
        self._frames.put(data)

    def close(self) -> None:
        """Write what is left, for a second at most: the client may have stopped reading."""
        self._frames.put(None)
        self._thread.join(_LAST_WORDS_SECONDS)

    def _write(self, writing: int) -> None:
        while (data := self._frames.get()) is not None:
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(writing, view) :]
            except OSError:  # the client is gone; the reader learns it, too
                return


def _start(target: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread
