"""Errors of ours as errors of the protocol: the one place where they are translated."""

from __future__ import annotations

from assistant.errors import AssistantError, Cancelled, EditConflict, InputError, UsageError

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
NOT_INITIALIZED = -32002
REQUEST_FAILED = -32803
CONTENT_MODIFIED = -32801
REQUEST_CANCELLED = -32800

_CODES: tuple[tuple[type[AssistantError], int], ...] = (
    (UsageError, INVALID_PARAMS),
    (InputError, INVALID_PARAMS),
    (EditConflict, CONTENT_MODIFIED),
    (Cancelled, REQUEST_CANCELLED),
)


class Refused(Exception):
    """A request that is answered with this error; `code` is one of the protocol's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def answer_of(error: BaseException) -> dict[str, object]:
    """The `error` object of a reply.  A bug of ours is named by its type alone: its text could hold the user's."""
    from pygls.exceptions import JsonRpcException  # the codes above are wanted before pygls has been read

    match error:
        case Refused() | JsonRpcException():
            return {"code": error.code, "message": str(error.message)}
        case AssistantError():
            code = next((number for kind, number in _CODES if isinstance(error, kind)), REQUEST_FAILED)
            return {"code": code, "message": str(error), "data": {"code": error.code, "remedy": error.remedy}}
        case _:
            return {"code": INTERNAL_ERROR, "message": f"Something went wrong that should not have: {type(error).__name__}."}
