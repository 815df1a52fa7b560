"""From the JSON of a request to a checked value; every refusal names the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from assistant.conversation import Conversation, from_openai
from assistant.errors import UsageError
from assistant.hosting.engine import Sampling
from assistant.wire import CLIENT_HEADER, PRIVATE_HEADER, URGENCY_HEADER, Urgency

STOPS_LIMIT = 4
MOST_ALTERNATIVES = 20
_SEED_LIMIT = 2**63


@dataclass(frozen=True, slots=True)
class Fill:
    """The text between `prefix` and `suffix` is wanted."""

    prefix: str
    suffix: str


Source = Conversation | Fill | str | tuple[int, ...]
"""What is to be continued: a conversation, a gap, plain text, or token ids as they are."""


@dataclass(frozen=True, slots=True)
class Call:
    """One checked request for text.

    max_tokens: None takes as many as the window leaves, within reason.
    owner: whose request it is, so that computed beginnings are shared with nobody else; empty for the user's own programs.
    private: nothing of it may be kept on disk.
    alternatives: how many of the likeliest tokens are told with each, which may be none; None leaves log-probabilities out.
    """

    source: Source
    client: str
    urgency: Urgency
    sampling: Sampling
    owner: str = ""
    private: bool = False
    max_tokens: int | None = None
    stops: tuple[str, ...] = ()
    prediction: str = ""
    stream: bool = False
    include_usage: bool = False
    alternatives: int | None = None


def parse_json(body: bytes | bytearray) -> Mapping[str, Any]:
    """The body as a JSON object.

    Raises:
        UsageError: it is none.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UsageError("The body is not valid JSON.", "Send a JSON object.") from error
    if not isinstance(value, dict):
        raise UsageError("The body must be a JSON object.", "Send {…}.")
    return value


def parse_chat(raw: Mapping[str, Any], headers: Mapping[str, str]) -> Call:
    """A request of `/v1/chat/completions`; fields that are not known are passed over.

    Raises:
        UsageError: naming the field and what it may be.
    """
    wanted = _alternatives(raw)
    rest = {name: value for name, value in raw.items() if name != "top_logprobs"}
    return replace(_call(from_openai(raw.get("messages")), rest, headers, "chat"), alternatives=wanted)


def parse_completion(raw: Mapping[str, Any], headers: Mapping[str, str]) -> Call:
    """A request of `/v1/completions`; with a `suffix`, the text between the two is wanted.

    Raises:
        UsageError: naming the field and what it may be.
    """
    prompt, suffix = parse_prompt(raw), _optional_text(raw, "suffix")
    if not suffix:
        return _call(prompt, raw, headers, "completion")
    if not isinstance(prompt, str):
        raise UsageError("`suffix` needs a `prompt` that is a string.", "Send text, not token ids.")
    return _call(Fill(prompt, suffix), raw, headers, "completion")


def parse_prompt(raw: Mapping[str, Any]) -> str | tuple[int, ...]:
    """The field `prompt`: text, or token ids.

    Raises:
        UsageError: it is neither.
    """
    prompt = raw.get("prompt")
    if isinstance(prompt, str):
        return _unicode("prompt", prompt)
    if isinstance(prompt, list) and prompt and all(type(token) is int and token >= 0 for token in prompt):
        return tuple(prompt)
    raise UsageError("`prompt` must be a string or an array of token ids.", "Send one prompt in a request.")


def _call(source: Source, raw: Mapping[str, Any], headers: Mapping[str, str], urgency: Urgency) -> Call:
    _refuse_the_unsupported(raw)
    options = raw.get("stream_options") or {}
    if not isinstance(options, dict):
        raise UsageError("`stream_options` must be an object.", "Send {'include_usage': true}.")
    wanted = "max_completion_tokens" if raw.get("max_completion_tokens") is not None else "max_tokens"
    return Call(
        source,
        client=headers.get(CLIENT_HEADER, "")[:200],
        private=PRIVATE_HEADER in headers,
        urgency=_urgency(headers.get(URGENCY_HEADER, urgency)),
        max_tokens=whole_number(raw, wanted, 1, None),
        sampling=_sampling(raw),
        stops=_stops(raw.get("stop")),
        prediction=_prediction(raw.get("prediction")),
        stream=_flag(raw, "stream"),
        include_usage=_flag(options, "include_usage"),
    )


def _refuse_the_unsupported(raw: Mapping[str, Any]) -> None:
    """What would change the reply is refused rather than passed over; values that mean nothing are let through."""
    for name in ("n", "best_of"):
        if raw.get(name) not in (None, 1) or isinstance(raw.get(name), bool):
            raise UsageError(f"`{name}` must be 1: one reply a request.", "Send the request again for another reply.")
    for name, (nothing, what) in _UNSUPPORTED.items():
        if raw.get(name) not in (None, *nothing):
            raise UsageError(f"`{name}` is not supported: {what}.", f"Leave `{name}` out.")


_UNSUPPORTED: Mapping[str, tuple[tuple[object, ...], str]] = {
    "tools": (([],), "the model's output has no power here"),
    "functions": (([],), "the model's output has no power here"),
    "tool_choice": (("none", "auto"), "the model's output has no power here"),
    "function_call": (("none", "auto"), "the model's output has no power here"),
    "response_format": (({"type": "text"},), "replies are plain text"),
    "modalities": ((["text"],), "replies are plain text"),
    "audio": ((), "replies are plain text"),
    "logit_bias": (({},), "tokens are drawn as the model has them"),
    "top_logprobs": ((0,), "log-probabilities come from /v1/completions"),
}


def _sampling(raw: Mapping[str, Any]) -> Sampling:
    # Code is best written greedily, so a request that names no temperature gets 0.
    return Sampling(
        temperature=_number(raw, "temperature", 0.0, 0.0, 2.0),
        top_p=_number(raw, "top_p", 1.0, 0.0, 1.0) or 1.0,
        seed=whole_number(raw, "seed", -_SEED_LIMIT, _SEED_LIMIT - 1),
    )


def _urgency(value: str) -> Urgency:
    for urgency in get_args(Urgency):
        if value == urgency:
            return urgency  # type: ignore[no-any-return]  # one of the literals, by the line above
    raise UsageError(f"The header {URGENCY_HEADER} has an unknown value.", f"Use one of {', '.join(get_args(Urgency))}.")


def _stops(value: object) -> tuple[str, ...]:
    stops = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or len(stops) > STOPS_LIMIT or not all(isinstance(stop, str) and stop for stop in stops):
        raise UsageError(f"`stop` must be a string or up to {STOPS_LIMIT} strings, none empty.", "Send fewer stop texts.")
    return tuple(stops)


def _prediction(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict) and value.get("type", "content") == "content":
        content = value.get("content")
        if isinstance(content, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
            content = "".join(part["text"] for part in content)
        if isinstance(content, str):
            return _unicode("prediction", content)
    raise UsageError("`prediction` must be {'type': 'content', 'content': text}.", "Send the text that the reply will repeat.")


def _optional_text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"`{name}` must be a string.", "Send text.")
    return _unicode(name, value or "")


def _unicode(name: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"`{name}` holds half of a surrogate pair.", "Send valid Unicode text.") from error
    return text


def _alternatives(raw: Mapping[str, Any]) -> int | None:
    count = whole_number(raw, "top_logprobs", 0, MOST_ALTERNATIVES)
    if not _flag(raw, "logprobs"):
        if count:
            raise UsageError("`top_logprobs` needs `logprobs`.", "Set `logprobs` to true.")
        return None
    return count or 0


def _flag(raw: Mapping[str, Any], name: str) -> bool:
    value = raw.get(name)
    if value is not None and not isinstance(value, bool):
        raise UsageError(f"`{name}` must be true or false.", "Send a boolean.")
    return bool(value)


def whole_number(raw: Mapping[str, Any], name: str, lowest: int, highest: int | None) -> int | None:
    """The field `name`, or None where it is not given.

    Raises:
        UsageError: it is no whole number in this range.
    """
    value = raw.get(name)
    if value is None:
        return None
    if type(value) is not int or value < lowest or (highest is not None and value > highest):
        limit = "" if highest is None else f" and at most {highest}"
        raise UsageError(f"`{name}` must be a whole number of at least {lowest}{limit}.", "Send another number.")
    return value


def _number(raw: Mapping[str, Any], name: str, default: float, lowest: float, highest: float) -> float:
    value = raw.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not lowest <= value <= highest:
        raise UsageError(f"`{name}` must be a number from {lowest:g} to {highest:g}.", "Send another number.")
    return float(value)
