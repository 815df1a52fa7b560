"""What front ends and the model host have agreed on beyond the OpenAI API.

The API itself: `POST /v1/chat/completions` and `/v1/completions` (with `suffix` for fill-in-the-middle), `GET /v1/models`,
`POST /tokenize` (`{"messages": …}` or `{"prompt": …}` to `{"count": n, "max_model_len": n}`, as vLLM answers), `GET /health`.
A final message of role `assistant` is continued.  Predicted text for an edit travels in the API's `prediction` field
(`{"type": "content", "content": …}`).

Beyond it:
- `POST /starchat/stop` lets requests under way finish and then ends the host.
- `POST /starchat/serve` (`{"host", "port", "tokens_sha256": […]}`) serves the API to other programs at a TCP address for
  as long as its answer, an event stream, is open.  The first event is `{"host", "port", "model"}`; `{"ended": true}` says
  that the host ends.
- While a streamed request waits, the stream carries comments of the form `: starchat {"state": "loading", "progress": 0.4}` or
  `: starchat {"state": "queued", "ahead": 2}` or `: starchat {"state": "reading"}`, which clients of the OpenAI API pass over.
- Errors, before or inside a stream, are `{"error": {"message", "remedy", "type", "code"}}`, with a code of `assistant.errors`.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Literal

PROTOCOL = 1
"""Raised whenever a front end and a host of different numbers could misunderstand each other."""

CLIENT_HEADER = "x-starchat-client"
"""Who asks: requests of one client wait for each other, so that no client crowds out another."""

URGENCY_HEADER = "x-starchat-urgency"

PRIVATE_HEADER = "x-starchat-private"
"""Sent, with any value, where nothing of the request may be kept on disk."""

Urgency = Literal["completion", "chat", "edit"]
"""In this order: a completion goes before a chat, a chat before an edit."""

FinishReason = Literal["stop", "length", "loop", "cancelled"]
"""Why a reply ended.  `loop` is ours: the tail kept repeating itself; on the wire it is `stop` with `stop_reason: "loop"`."""

COMMENT = "starchat "
"""How our comments in an event stream begin (after the colon and a space)."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a reply: its text, its log-probability (natural), and the likeliest texts in its place with theirs.

    A token that is only a part of a character has U+FFFD in its text.
    """

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()

    def as_openai(self) -> dict[str, object]:
        """The token as an element of `logprobs.content` of the OpenAI API."""
        top = [_likelihood(text, logprob) for text, logprob in self.top]
        return {**_likelihood(self.text, self.logprob), "top_logprobs": top}


def _likelihood(text: str, logprob: float) -> dict[str, object]:
    return {"token": text, "logprob": logprob, "bytes": None if "\ufffd" in text else list(text.encode())}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request.  `cached` prompt tokens were found in the prefix cache and not computed again."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    accepted: int = 0
    rejected: int = 0

    def __add__(self, other: Usage) -> Usage:
        """The tokens of two requests together."""
        return Usage(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def as_openai(self) -> dict[str, object]:
        """The `usage` object of the OpenAI API, with accepted and rejected predicted tokens where it has them."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {
                "accepted_prediction_tokens": self.accepted,
                "rejected_prediction_tokens": self.rejected,
            },
        }
