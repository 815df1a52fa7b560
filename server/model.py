"""The way from the editor's settings to a model that can be asked: download after consent, host, client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from assistant.client import ModelClient, Waiting, remote
from assistant.errors import AssistantError, Cancelled, ConsentNeeded
from assistant.host import connect
from assistant.models.offers import Offer, Progress, size_text
from assistant.models.prepare import on_disk, prepare
from assistant.models.spec import ModelSpec
from assistant.settings import Settings
from server.failures import said
from server.options import resolve
from server.session import Session

T = TypeVar("T")
Tell = Callable[[str, float | None], None]

DOWNLOAD = "Download"


@asynccontextmanager
async def connected(session: Session, tell: Tell) -> AsyncIterator[ModelClient]:
    """A client of the model that the settings ask for; `tell` hears what is being waited for.

    Raises:
        AssistantError: there is no such model, the user did not want it, or it cannot run.
    """
    settings = resolve(session.options)
    try:
        client = await (_remote(session, settings) if settings.endpoint else _local(session, settings, tell))
    except AssistantError as error:
        session.now("failed", reason=said(error))
        raise
    client.caller = session.name
    try:
        session.now("ready", client.profile.name, remote=client.profile.host if client.profile.remote else None)
        yield client
    finally:
        await client.close()


async def warm(session: Session) -> None:
    """Start the host of a model that lies on the disk already; a download is never begun here."""
    settings = resolve(session.options)
    if settings.endpoint or not await in_thread(lambda: on_disk(settings)):
        return
    async with connected(session, lambda message, share: None):
        return


async def _remote(session: Session, settings: Settings) -> ModelClient:
    client = await remote(settings)
    if client.profile.remote and client.profile.host not in session.told_hosts:
        session.told_hosts.add(client.profile.host)
        session.tell(f"Your code leaves this machine: {client.profile.host}")
    return client


async def _local(session: Session, settings: Settings, tell: Tell) -> ModelClient:
    async with session.preparing:
        if session.prepared is None or session.prepared[0] != settings:
            session.now("preparing")
            session.prepared = (settings, await _prepared(session, settings, tell))
        spec = session.prepared[1]

    def watch(waiting: Waiting) -> None:
        session.now("loading" if waiting.state == "loading" else "starting", spec.name, progress=waiting.progress)
        tell(waiting_text(waiting), waiting.progress)

    return await connect(spec, settings, watch)


async def _prepared(session: Session, settings: Settings, tell: Tell) -> ModelSpec:
    loop = asyncio.get_running_loop()
    stopped = threading.Event()

    def consent(offer: Offer) -> bool:
        return asyncio.run_coroutine_threadsafe(_agreed(session, offer), loop).result()

    def report(progress: Progress) -> None:
        if stopped.is_set():
            raise Cancelled("The download was stopped; what has arrived is kept.")
        share = progress.done / progress.total if progress.total else None
        message = progress.text or f"{progress.stage} …"
        loop.call_soon_threadsafe(tell, message, share)

    try:
        return await in_thread(lambda: prepare(settings, consent, report))
    finally:
        stopped.set()


async def _agreed(session: Session, offer: Offer) -> bool:
    """Ask the user; whoever cannot be asked has not agreed."""
    restrictions = f" ({offer.restrictions})" if offer.restrictions else ""
    question = (
        f"StarChat needs the model {offer.title}: {size_text(offer.bytes)} from {offer.source}, licence {offer.licence}"
        f"{restrictions}, to {offer.folder} ({size_text(offer.free_bytes)} free). Download it?"
    )
    choices = [types.MessageActionItem(DOWNLOAD), types.MessageActionItem("Not now")]
    asked = types.ShowMessageRequestParams(types.MessageType.Info, question, choices)
    try:
        answer = await session.editor.window_show_message_request_async(asked)
    except JsonRpcException:  # a client that cannot ask
        return False
    return answer is not None and answer.title == DOWNLOAD


async def in_thread(work: Callable[[], T]) -> T:
    """The result of `work`, done in a thread that does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(set_value: Callable[[Any], None], value: object) -> None:
        if not future.done():
            set_value(value)

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            loop.call_soon_threadsafe(settle, future.set_exception, error)
        else:
            loop.call_soon_threadsafe(settle, future.set_result, result)

    threading.Thread(target=run, name="work", daemon=True).start()
    return await future


def waiting_text(waiting: Waiting) -> str:
    """What a waiting user is told."""
    if waiting.note:
        return waiting.note
    if waiting.state == "queued" and waiting.ahead:
        return f"waiting, {waiting.ahead} before you …"
    return _WORDS[waiting.state]


_WORDS = {
    "starting": "starting the model host …",
    "loading": "loading the model …",
    "queued": "waiting …",
    "reading": "reading …",
    "writing": "writing …",
}

__all__ = ["ConsentNeeded", "connected", "in_thread", "waiting_text", "warm"]
