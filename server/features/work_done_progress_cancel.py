"""`window/workDoneProgress/cancel`."""

from __future__ import annotations

from lsprotocol import types

from server.session import Session


def cancel(session: Session, params: types.WorkDoneProgressCancelParams) -> None:
    """Stop the job, or the turn of a chat, that the token stands for."""
    for job in list(session.jobs.values()):
        if job.token == params.token:
            job.stop()
    if params.token in session.turns:
        session.turns[params.token].cancel()
