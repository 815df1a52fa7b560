"""What llama.cpp says while it generates, read into values.

With `verbose` and `return_progress`, each event carries the native form under `__verbose` (`tokens`, `content`,
`tokens_predicted`, `stop`, `stop_type`) and, while the prompt is computed, `prompt_progress`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.errors import AssistantError, ContextOverflow, HostError
from assistant.hosting.engine import TokenScore
from assistant.hosting.llama_vocabulary import Vocabulary, spellings


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    cached: prompt tokens that were found in the cache, where the event is about the prompt; else None.
    token: the id generated last, None where the event brings none.
    content: the text that this event completes.  While a character is incomplete llama.cpp says nothing; the next event then
        brings the last of several tokens.
    generated: how many tokens were generated so far.
    stop: why it ended (`eos`, `limit`), empty while it goes on.
    drafted, accepted: tokens of the whole reply that were guessed from the prompt, and those that were right; known at its end.
    score: how likely the token was, where that was asked for.
    """

    cached: int | None = None
    token: int | None = None
    content: str = ""
    generated: int = 0
    stop: str = ""
    drafted: int = 0
    accepted: int = 0
    score: TokenScore | None = None


def read_event(raw: Mapping[str, Any]) -> Event | AssistantError:
    """The value of an event, or the error that it reports."""
    if "error" in raw:
        return _error(raw["error"])
    if "prompt_progress" in raw:
        return Event(cached=int(raw["prompt_progress"]["cache"]))
    native = raw.get("__verbose", {})
    tokens: Sequence[int] = native.get("tokens", ())
    generated = int(native.get("tokens_predicted", 0))
    if native.get("stop"):
        times = native.get("timings", {})
        drafted, accepted = int(times.get("draft_n", 0)), int(times.get("draft_n_accepted", 0))
        return Event(generated=generated, stop=str(native.get("stop_type") or "limit"), drafted=drafted, accepted=accepted)
    return Event(token=tokens[-1] if tokens else None, content=str(native.get("content", "")), generated=generated)


def read_single(raw: Mapping[str, Any], generated: int) -> Event | AssistantError:
    """The value of the only event of a request for one token, which is number `generated` of the reply."""
    if "error" in raw:
        return _error(raw["error"])
    native = raw["__verbose"]
    tokens: Sequence[int] = native["tokens"]
    told = next(iter(native.get("completion_probabilities", ())), None)  # none of a token that completes no character
    score = told and TokenScore(
        float(told["logprob"]), tuple((int(each["id"]), float(each["logprob"])) for each in told["top_logprobs"])
    )
    return Event(token=tokens[-1], generated=generated, score=score)


def recover(event: Event, known: int, vocabulary: Vocabulary) -> tuple[int, ...]:
    """The ids since `known` tokens were generated, `event.token` last.

    Those that llama.cpp passed over in silence are spelt out from the text, which is exact as far as the text is valid UTF-8.
    """
    if event.token is None:
        return ()
    missing = event.generated - known - 1
    last = vocabulary.piece(event.token)
    whole = event.content.encode()
    if missing <= 0 or not whole.endswith(last):
        return (event.token,)
    return (*(spellings(whole[: -len(last)], missing, vocabulary) or ()), event.token)


def _error(raw: Mapping[str, Any]) -> AssistantError:
    message = str(raw.get("message", "unknown error")).rstrip(".")
    if raw.get("type") == "exceed_context_size_error":
        return ContextOverflow(f"{message}.".capitalize(), "Send less text or ask for a shorter reply.")
    return HostError(f"llama.cpp refused the request: {message}.", "Run `assistant stop` and try again.")
