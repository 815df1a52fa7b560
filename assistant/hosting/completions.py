"""What `/v1/completions` can beyond continuing one text, for evaluation harnesses: several prompts, `echo`, log-probabilities.

Tokens are generated as always; then one pass over prompt and reply scores them all, so that the figures are exact whatever
drafted or cached the reply.  Only engines that are a `Scorer` do so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate
from typing import Any

from assistant.errors import AssistantError, HostError, UsageError
from assistant.hosting import chat, stopping
from assistant.hosting.answering import SIGN_OF_LIFE, Work, prepared
from assistant.hosting.engine import Engine, Finish, Piece, Scorer, TokenScore
from assistant.hosting.model_host import Loaded, ModelHost, as_failure
from assistant.hosting.requests import Call, parse_completion, whole_number
from assistant.template import Tokenizer
from assistant.wire import Usage

MOST_PROMPTS = 32
MOST_LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted beside the text.

    echo: the prompt before the reply.  logprobs: so many of the likeliest tokens with each; None leaves log-probabilities out.
    generate: whether a reply is wanted at all (`max_tokens` 0 only scores the prompt).
    """

    echo: bool = False
    logprobs: int | None = None
    generate: bool = True


@dataclass(slots=True)
class _Run:
    """What one prompt brought: generated text and ids, why it ended, and the scores of prompt and reply but the first token."""

    wish: Wish
    prompt: tuple[int, ...]
    text: str = ""
    ids: tuple[int, ...] = ()
    finish: Finish | None = None
    scores: list[TokenScore] = field(default_factory=list)


def parse(raw: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[tuple[Call, ...], Wish] | None:
    """The calls of a request, one for each prompt, and what is wanted beside the text; None where it is of the usual kind.

    Raises:
        UsageError: naming the field and what it may be.
    """
    prompts = _prompts(raw.get("prompt"))
    wish = Wish(_echo(raw), whole_number(raw, "logprobs", 0, MOST_LOGPROBS), raw.get("max_tokens") != 0)
    if len(prompts) == 1 and wish == Wish():
        return None
    if raw.get("stream"):
        raise UsageError("`stream` goes with one prompt, and without `echo` and `logprobs`.", "Leave `stream` out.")
    if raw.get("suffix"):
        raise UsageError("`suffix` goes with one prompt, and without `echo` and `logprobs`.", "Leave it out.")
    if not wish.generate and not wish.echo:
        raise UsageError("`max_tokens` 0 leaves nothing to answer.", "Set `echo` to get the prompt's log-probabilities.")
    fields = dict(raw) if wish.generate else {**raw, "max_tokens": 1}
    return tuple(parse_completion({**fields, "prompt": prompt}, headers) for prompt in prompts), wish


async def reply(host: ModelHost, calls: Sequence[Call], wish: Wish) -> dict[str, object]:
    """The answer to all prompts, one after the other.

    Raises:
        UsageError: the engine gives no log-probabilities.
        AssistantError: as `assistant.hosting.answering.answer` does.
    """
    choices, usage = [], Usage()
    for index, call in enumerate(calls):
        choice, used = await _choice(host, call, wish)
        choices.append({"index": index, **choice})
        usage += used
    return chat.envelope(host, "text").chunk(choices, usage)


async def _choice(host: ModelHost, call: Call, wish: Wish) -> tuple[dict[str, object], Usage]:
    with host.scheduler.admit(call.client, call.urgency, outside=bool(call.owner)) as ticket:
        loaded = None
        while loaded is None:
            loaded = await host.loaded(SIGN_OF_LIFE)
        work = await prepared(host, loaded, call)
        work = _unended(work) if wish.logprobs is not None else work
        run = _Run(wish, work.request.prompt)
        async for _ in host.scheduler.turn(ticket, SIGN_OF_LIFE):
            pass
        try:
            steps = partial(_steps, loaded.engine, work, run)
            async for _ in host.scheduler.run(ticket, steps, SIGN_OF_LIFE):
                pass
        except AssistantError:
            raise
        except Exception as error:
            raise as_failure(error, "The engine failed") from error
    return _told(loaded, call, run)


def _unended(work: Work) -> Work:
    """A single token is scored whatever it is: harnesses count on it, and take the last for the generated one."""
    single = work.request.max_tokens == 1
    return replace(work, request=replace(work.request, stop_ids=frozenset())) if single else work


def _steps(engine: Engine, work: Work, run: _Run, cancelled: Callable[[], bool]) -> Iterator[object]:
    """Generate and score, in the engine's thread; `run` grows."""
    wish = run.wish
    if wish.logprobs is not None and not isinstance(engine, Scorer):
        raise UsageError(
            f"This model runs on {engine.info.description.partition(',')[0]}, which gives no log-probabilities.",
            "Serve a model that runs on the torch engine: a folder with safetensors.",
        )
    for item in stopping.stream(engine, work.request, work.stops, cancelled) if wish.generate else ():
        if isinstance(item, Piece):
            run.text += item.text
            run.ids += item.ids
        else:
            run.finish = item
        yield item
    if wish.logprobs is not None and isinstance(engine, Scorer):
        for scores in engine.score((*run.prompt, *run.ids), wish.logprobs, cancelled):
            run.scores.extend(scores)
            yield scores


def _told(loaded: Loaded, call: Call, run: _Run) -> tuple[dict[str, object], Usage]:
    wish, finish = run.wish, run.finish or Finish("length", Usage(len(run.prompt)))
    if finish.reason == "cancelled" or (wish.logprobs is not None and len(run.scores) < len(run.prompt) + len(run.ids) - 1):
        raise HostError("The model host was stopped.", "Send the request again.")
    tokenizer = loaded.engine.tokenizer
    prompt = call.source if isinstance(call.source, str) else tokenizer.decode(run.prompt)
    text = (prompt if wish.echo else "") + run.text
    choice: dict[str, object] = {"text": text, "logprobs": None, **chat.ending(finish)}
    if wish.logprobs is not None:
        choice["logprobs"] = _logprobs(tokenizer, run, 0 if wish.echo else len(run.prompt))
    return choice, finish.usage


def _logprobs(tokenizer: Tokenizer, run: _Run, start: int) -> dict[str, object]:
    """The API's `logprobs` object for the tokens from place `start` on; the very first token of a text has no probability."""
    ids = (*run.prompt, *run.ids)
    scores = [None, *run.scores]
    names = [_name(tokenizer, token) for token in ids[start:]]
    return {
        "tokens": names,
        "token_logprobs": [score and score.logprob for score in scores[start:]],
        "top_logprobs": [
            score and _top(tokenizer, token, score) for token, score in zip(ids[start:], scores[start:], strict=True)
        ],
        "text_offset": [0, *accumulate(len(name) for name in names[:-1])] if names else [],
    }


def _top(tokenizer: Tokenizer, token: int, score: TokenScore) -> dict[str, float]:
    return {_name(tokenizer, one): logprob for one, logprob in (*score.top, (token, score.logprob))}


def _name(tokenizer: Tokenizer, token: int) -> str:
    """The token's text; one that is only a part of a character is named by its id, or several would look the same."""
    text = tokenizer.decode((token,))
    return f"token_id:{token}" if "\ufffd" in text or not text else text


def _prompts(prompt: object) -> list[object]:
    """Each prompt of the field: a string or ids alone, or an array of them."""
    if not isinstance(prompt, list) or not prompt or all(type(one) is int for one in prompt):
        return [prompt]
    if len(prompt) > MOST_PROMPTS:
        raise UsageError(f"`prompt` holds {len(prompt)} prompts.", f"Send up to {MOST_PROMPTS} in a request.")
    return prompt


def _echo(raw: Mapping[str, Any]) -> bool:
    value = raw.get("echo")
    if value is not None and not isinstance(value, bool):
        raise UsageError("`echo` must be true or false.", "Send a boolean.")
    return bool(value)
