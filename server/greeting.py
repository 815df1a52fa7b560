"""The answer to `initialize`, made without any of the protocol's classes, so that it can be given while they are still read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assistant import __version__
from server.capabilities import Client, client_of, offered

NAME = "starchat"


@dataclass(frozen=True, slots=True)
class Greeting:
    """An `initialize` that is in order: the body that answers it, and its parameters."""

    reply: bytes
    params: Mapping[str, Any]


def greeting_in(body: bytes) -> Greeting | None:
    """The greeting that a message is; None where it is anything else, which the protocol will judge."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0" or message.get("method") != "initialize":
        return None
    number, params = message.get("id"), message.get("params")
    if type(number) not in (int, str) or not isinstance(params, dict):
        return None
    answer = {"jsonrpc": "2.0", "id": number, "result": result(client_of(params.get("capabilities")))}
    return Greeting(json.dumps(answer).encode(), params)


def result(client: Client) -> dict[str, Any]:
    """What `initialize` answers to this client."""
    return {"capabilities": offered(client), "serverInfo": {"name": NAME, "version": __version__}}
