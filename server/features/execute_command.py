"""`workspace/executeCommand`: the commands of the table, and those about jobs."""

from __future__ import annotations

from typing import Any

from lsprotocol import types

from assistant.own_commands import every_command
from server import failures
from server.capabilities import PREFIX
from server.errands import Errand, argument_of, check
from server.failures import Refused
from server.session import Session


async def execute_command(session: Session, params: types.ExecuteCommandParams) -> dict[str, Any]:
    """Carry it out; the reply comes when it has ended (see `server.running.reply`)."""
    from server import running, verbs  # these bring the HTTP client with them, which `initialize` need not wait for

    name = params.command.removeprefix(PREFIX)
    if name in verbs.VERBS:
        return await verbs.VERBS[name](session, params.arguments, params.work_done_token)
    row = next((row for row in every_command() if PREFIX + row.name == params.command), None)
    if row is None:
        raise Refused(failures.INVALID_PARAMS, f"There is no command {params.command[:100]!r}.")
    errand = check(Errand(row, argument_of(params.arguments)))
    return await running.reply(session, errand, params.work_done_token)
