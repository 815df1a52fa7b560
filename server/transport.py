"""Standard input and output as a connection: one thread reads, one thread writes, the event loop does everything else.

Neither a client that sends nothing nor one that reads nothing can keep the loop from its work.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import queue
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, cast

from server.failures import PARSE_ERROR
from server.framing import Broken, Frames, frame
from server.greeting import greeting_in

if TYPE_CHECKING:
    from server.protocol import Protocol
    from server.session import Session

log = logging.getLogger(__name__)

Item = bytes | Broken
Items = list[Item]

PIECE = 1 << 16
"""Bytes that are read at once, at most."""

_LAST_WORDS_SECONDS = 1.0


def serve_stdio() -> int:
    """Serve one editor on standard input and output; returns the exit code."""
    reading, writing = _take_over()
    writer = _Writer(writing)
    code = asyncio.new_event_loop().run_until_complete(_serve(reading, writer))
    writer.close()
    return code


async def _serve(reading: int, writer: _Writer) -> int:
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    _start(lambda: _read(reading, lambda data: loop.call_soon_threadsafe(pieces.put_nowait, data)), "reader")
    return await converse(in_frames(Frames(), pieces.get), lambda body: writer.put(frame(body)))


def in_frames(frames: Frames, read: Callable[[], Awaitable[bytes]]) -> Callable[[], Awaitable[Items]]:
    """A function that waits for the next messages; `read` gives the next bytes, and none at the end, as it does itself."""

    async def receive() -> Items:
        while data := await read():
            if items := list(frames.feed(data)):  # many clients write a header and its body one after the other
                return items
        return []

    return receive


async def converse(
    receive: Callable[[], Awaitable[Items]], send: Callable[[bytes], None], *, owned: bool = True, first: Sequence[Item] = ()
) -> int:
    """Serve one editor until it leaves; returns the exit code.

    receive: the next messages, none at the end.  send: takes the bodies of messages.  first: messages that have come already.
    owned: whether the process ends with its editor, so that an editor that has vanished is to end it.
    """
    items = list(first) or await receive()
    if not items:
        return 1
    session = _session(items, send, owned=owned)
    protocol = _protocol(session)
    try:
        while not protocol.exited:
            for item in items:
                _deliver(session, item)
                await asyncio.sleep(0)  # what it asks for begins before the next is looked at, which may be to stop it
            items = [] if protocol.exited else await receive()
            if not items:
                break
    finally:
        await _wind_up(session)
    return protocol.exit_code


def _session(items: Items, send: Callable[[bytes], None], *, owned: bool) -> Session:
    """The session, made after a greeting at the head of `items` has been answered and taken from there.

    Reading lsprotocol's thousand classes takes half a second on a slow machine; the editor need not wait for that.
    """
    greeting = greeting_in(items[0]) if items and isinstance(items[0], bytes) else None
    if greeting is not None:
        send(greeting.reply)
        del items[0]
    session = _connect()(send)
    session.owned = owned
    if greeting is not None:
        _protocol(session).greeted(greeting.params)
    return session


@cache
def _connect() -> Callable[[Callable[[bytes], None]], Session]:
    """What makes a session.  Reading it makes many classes and no garbage: looking for some would take a fifth of the time."""
    gc.disable()
    try:
        from server.app import connect
    finally:
        gc.freeze()  # nor is any to be found later among what was read
        gc.enable()
    return connect


def _deliver(session: Session, item: Item) -> None:
    protocol = _protocol(session)
    if protocol.exited:
        return
    try:
        if isinstance(item, Broken):
            protocol.refuse(PARSE_ERROR, item.reason)
            if item.lost:
                protocol.lost(None)
        else:
            protocol.receive(item)
    except Exception as error:  # the last net: one bad message must not cost those behind it
        log.warning("A message could not be handled: %s", type(error).__name__)


def _protocol(session: Session) -> Protocol:
    return cast("Protocol", session.editor.protocol)


async def _wind_up(session: Session) -> None:
    """Stop all work, and give it a moment to let go of the model."""
    tasks = [*_protocol(session).cancel_open(), *session.stop_all()]
    if tasks:
        await asyncio.wait(tasks, timeout=_LAST_WORDS_SECONDS)


def _take_over() -> tuple[int, int]:
    """The two ends of the connection; what anything else prints from now on goes to standard error."""
    reading, writing = os.dup(0), os.dup(1)
    for end in (reading, writing):
        os.set_blocking(end, True)  # whoever started us may have left them otherwise, and our threads are there to wait
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    return reading, writing


def _read(reading: int, deliver: Callable[[bytes], object]) -> None:
    try:
        while data := os.read(reading, PIECE):
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
