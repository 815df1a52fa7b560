"""The commands that are about jobs: stop one, take an edit back, try once more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from assistant.errors import AssistantError, EditConflict, UsageError
from server import running
from server.errands import argument_of
from server.failures import said
from server.jobs import LAST_SECONDS
from server.session import Session
from server.undoing import undo

Arguments = Sequence[Any] | None
Token = int | str | None


async def _cancel(session: Session, arguments: Arguments, token: Token) -> dict[str, Any]:
    """Stop the job that is named, or all."""
    first = arguments[0] if arguments else None
    wanted = first.get("job") if isinstance(first, dict) else first
    stopped = [job for job in session.jobs.values() if wanted in (None, job.id)]
    for job in stopped:
        job.stop()
    return {"cancelled": [job.id for job in stopped]}


async def _undo(session: Session, arguments: Arguments, token: Token) -> dict[str, Any]:
    """Take the last edit back; one that the editor is just making is waited for."""
    finishing = [job.task for job in session.jobs.values() if job.finishing and job.task is not None]
    if finishing:
        await asyncio.wait(finishing, timeout=LAST_SECONDS)
    try:
        return {"outcome": "applied", "reason": await undo(session, argument_of(arguments).uri)}
    except AssistantError as error:
        kind = "conflict" if isinstance(error, EditConflict) else "no_edit"
        return {"outcome": kind, "reason": said(error), "code": error.code}


async def _retry(session: Session, arguments: Arguments, token: Token) -> dict[str, Any]:
    """Do the last command again, on the text as it is now."""
    if session.last is None:
        raise UsageError("There is no command to try again.", "Run one first.")
    return await running.reply(session, running.again(session, *session.last), token)


VERBS: dict[str, Callable[[Session, Arguments, Token], Awaitable[dict[str, Any]]]] = {
    "cancel": _cancel,
    "undo": _undo,
    "retry": _retry,
}
"""By the name after `starchat.`; `server.capabilities.OWN_COMMANDS` lists them for `initialize`."""
