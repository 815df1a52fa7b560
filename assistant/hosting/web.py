"""The web server under the host's application, set up the same way at each of its addresses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from assistant.hosting.listening import BACKLOG
from assistant.hosting.patience import ImpatientProtocol


class Server(uvicorn.Server):
    """Uvicorn without its signal handlers: a signal first stops the engine, so that clients still hear of it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def configuration(app: ASGIApp, connections: int | None = None) -> uvicorn.Config:
    """How `app` is served; beyond so many open `connections` requests are answered with 503."""
    return uvicorn.Config(
        app,
        http=ImpatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        limit_concurrency=connections,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
    )
