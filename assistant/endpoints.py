"""What a server that speaks the OpenAI API can do; what it lacks is done without."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx2

from assistant.conversation import Conversation, Message
from assistant.errors import HostError
from assistant.server_errors import from_answer

CHARACTERS_PER_TOKEN = 3.0
"""For estimates.  Code has 3 to 4 characters in a token, so that this errs on the side of too many tokens."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Names of this machine; text that is sent there does not leave it."""

ESTIMATE_MARGIN = 1.1
_TOKENS_PER_MESSAGE = 8


@dataclass(frozen=True, slots=True)
class EndpointProfile:
    """One server, as it was found when it was first spoken to.

    name: the model's name there.
    host: the machine that text is sent to; empty for the model host on this machine.
    context_length: tokens of the window; None where it does not say.
    continues_assistant: whether a final message of the assistant is continued; where not, replies are not prefilled.
    counts: whether it answers `/tokenize`.
    predicts: whether it takes a `prediction`.
    fills: whether `/v1/completions` takes a `suffix`.
    hesitates: whether a chat tells log-probabilities, with alternatives.
    """

    name: str
    host: str = ""
    context_length: int | None = None
    continues_assistant: bool = True
    counts: bool = True
    predicts: bool = True
    fills: bool = True
    hesitates: bool = True

    @property
    def remote(self) -> bool:
        """Whether text leaves this machine."""
        return self.host not in ("", *LOOPBACK)


async def probe(http: httpx2.AsyncClient, model: str | None) -> EndpointProfile:
    """Ask a server what it is: `/v1/models` names its models and its maker, `/tokenize` and `/props` say more of some.

    Only small requests without any text of the user's are made, none of which generates.

    Raises:
        HostError: it cannot be reached, or refuses the key.
        ModelError: it is no OpenAI-compatible server.
    """
    host = urlsplit(str(http.base_url)).hostname or ""
    entry = _entry(await _models(http, host), model, host)
    profile = EndpointProfile(
        str(entry.get("id") or model),
        host,
        continues_assistant=False,
        counts=False,
        predicts=False,
        fills=False,
        hesitates=False,
    )
    length = entry.get("max_model_len") or entry.get("context_length") or _meta(entry).get("n_ctx_train")
    profile = replace(profile, context_length=length if isinstance(length, int) else None)
    if entry.get("owned_by") == "starchat-assistant":
        return replace(profile, continues_assistant=True, counts=True, predicts=True, fills=True, hesitates=True)
    if entry.get("owned_by") == "vllm":
        return replace(profile, continues_assistant=True, hesitates=True, counts=await _counts(http, profile.name))
    if entry.get("owned_by") == "llamacpp":
        window = await _window_of_slots(http) or profile.context_length
        return replace(profile, continues_assistant=True, hesitates=True, context_length=window)
    return profile


def extras(profile: EndpointProfile, conversation: Conversation) -> Mapping[str, object]:
    """Fields that this server needs in order to continue a final assistant message."""
    if conversation.continues_assistant and profile.host and profile.continues_assistant:
        return {"continue_final_message": True, "add_generation_prompt": False}
    return {}


def estimate(conversation: Conversation) -> int:
    """About how many tokens a conversation has, with a margin, for servers that do not count."""
    characters = sum(len(message.content) for message in conversation.messages)
    tokens = characters / CHARACTERS_PER_TOKEN + _TOKENS_PER_MESSAGE * len(conversation.messages)
    return int(tokens * ESTIMATE_MARGIN) + 1


_CONTROL_WORD = re.compile(
    r"<(?=\|[\w▁ -]{1,40}\|>)|<(?=[｜][^｜\n]{1,40}[｜]>)|<(?=/?s>|(?:fim|file|repo)_?\w{0,20}>)|\[(?=/?INST\])"
)


def defused(conversation: Conversation) -> tuple[Conversation, int]:
    """The conversation with control words such as `<|im_end|>` broken up by a word joiner (U+2060), and how many there were.

    A remote server writes the conversation down with its own template, and may read such words in content as control tokens.
    """
    messages, found = [], 0
    for message in conversation.messages:
        content, count = _CONTROL_WORD.subn(lambda match: f"{match[0]}\u2060", message.content)
        messages.append(Message(message.role, content))
        found += count
    return (Conversation(tuple(messages)), found) if found else (conversation, 0)


def unreachable(error: httpx2.TransportError, name: str) -> HostError:
    """The error for a server that could not be reached at all."""
    why = "does not answer" if isinstance(error, httpx2.TimeoutException) else "cannot be reached"
    detail = str(error) or type(error).__name__
    return HostError(
        f"{name} {why}: {detail}.", "Check the address and the network, or leave --endpoint out to use a local model."
    )


async def _models(http: httpx2.AsyncClient, host: str) -> list[Mapping[str, Any]]:
    try:
        response = await http.get("/v1/models")
    except httpx2.TransportError as error:
        raise unreachable(error, host) from error
    if not response.is_success:
        raise from_answer(response.status_code, response.headers, response.content, host)
    try:
        return [entry for entry in response.json()["data"] if isinstance(entry, dict)]
    except (ValueError, KeyError, TypeError) as error:
        raise HostError(
            f"{host} does not speak the OpenAI API: /v1/models answered with something else.", "Check the URL."
        ) from error


def _entry(entries: list[Mapping[str, Any]], model: str | None, host: str) -> Mapping[str, Any]:
    if model is None and entries:
        return entries[0]
    for entry in entries:
        if entry.get("id") == model:
            return entry
    if model is None:
        raise HostError(f"{host} offers no model.", "Name one with -m.")
    return {"id": model, "owned_by": entries[0].get("owned_by") if entries else None}


def _meta(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = entry.get("meta")
    return meta if isinstance(meta, dict) else {}


async def _counts(http: httpx2.AsyncClient, model: str) -> bool:
    try:
        response = await http.post("/tokenize", json={"model": model, "messages": [{"role": "user", "content": "x"}]})
        return response.is_success and isinstance(response.json().get("count"), int)
    except (httpx2.TransportError, ValueError, AttributeError):
        return False


async def _window_of_slots(http: httpx2.AsyncClient) -> int | None:
    """Tokens of the window that llama.cpp's server was started with; the models' list tells only what the model could have."""
    try:
        window = (await http.get("/props")).json()["default_generation_settings"]["n_ctx"]
    except (httpx2.TransportError, ValueError, KeyError, TypeError):
        return None
    return window if isinstance(window, int) and window > 0 else None
