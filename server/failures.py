"""Errors of ours as errors of the protocol: the one place where they are translated."""

from __future__ import annotations

import re

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

_OPTIONS = (
    (re.compile(r"\bwith -m\b"), "in the settings"),
    (re.compile(r": -m ([\w.-]*\w)"), r": `\1` as the setting `model`"),
    (re.compile(r"\b([Ll])eave --(endpoint|dtype) out\b"), r"\1eave the setting `\2` empty"),
    (re.compile(r"--(model|endpoint|device|quantization|dtype|threads) ([\w:-]*\w)"), r"`\2` as the setting `\1`"),
    (re.compile(r"--(model|endpoint|device|quantization|dtype|threads)\b"), r"the setting `\1`"),
)
"""Options of the shell, as errors name them, and the settings that an editor has in their place."""


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
            return {"code": code, "message": said(error), "data": {"code": error.code, "remedy": _in_settings(error.remedy)}}
        case _:
            return {"code": INTERNAL_ERROR, "message": f"Something went wrong that should not have: {type(error).__name__}."}


def said(error: AssistantError) -> str:
    """The sentences of an error for somebody who has settings, and no options of a shell."""
    return _in_settings(str(error))


def _in_settings(text: str) -> str:
    for option, setting in _OPTIONS:
        text = option.sub(setting, text)
    return text
