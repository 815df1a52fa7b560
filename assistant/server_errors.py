"""What a server's refusal or a broken connection means to the user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from assistant.errors import AssistantError, ContextOverflow, HostBusy, HostError, ModelError, UsageError, from_code

_SHOWN = 200


def from_answer(status: int, headers: Mapping[str, str], body: bytes, name: str) -> AssistantError:
    """The error behind an answer that is no success; `name` is how the server is called to the user.

    Our own host says all itself.  Of others only the status is sure: the body may be JSON of some form, HTML, or nothing.
    """
    told = _told(body)
    if isinstance(told.get("code"), str) and "remedy" in told:
        return from_wire(told, headers)
    said = " ".join(str(told.get("message") or "").split())[:_SHOWN]
    said = f": {said}" if said else ""
    if status in (401, 403):
        return HostError(f"{name} refuses the API key ({status}){said}.", "Set STARCHAT_API_KEY to a valid key.")
    if status == 404:
        return ModelError(
            f"{name} does not know the model or the address (404){said}.", "Check the URL, and the model with -m."
        )
    if status == 429:
        wait = _seconds(headers)
        return HostBusy(f"{name} is busy or a limit is reached (429){said}.", f"Try again in {wait:.0f} seconds.", wait)
    if status in (400, 413, 422):
        kind = ContextOverflow if "context" in said.lower() else UsageError
        return kind(f"{name} refuses the request ({status}){said}.", "Send less text, or another model.")
    return HostError(f"{name} failed with status {status}{said}.", "Try again later, or look into the server's log.")


def from_wire(error: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> AssistantError:
    """The error in the `error` object of our host, or one inside a stream of anyone's."""
    message = " ".join(str(error.get("message") or "The server failed.").split())[: 2 * _SHOWN]
    found = from_code(str(error.get("code")), message, str(error.get("remedy") or "Send the request again."))
    if isinstance(found, HostBusy):
        found.retry_after = _seconds(headers or {})
    return found


def _told(body: bytes) -> Mapping[str, Any]:
    """The `error` object of the body; servers also send a bare string, or `detail`."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    error = value.get("error", value.get("detail", value))
    return error if isinstance(error, dict) else {"message": error if isinstance(error, str) else ""}


def _seconds(headers: Mapping[str, str]) -> float:
    try:
        return max(0.0, float(headers.get("retry-after", "5")))
    except ValueError:
        return 5.0
