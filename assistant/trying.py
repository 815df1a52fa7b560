"""Asking until a reply can be used: for each way to fail one more try, if the command's prompt file has a section for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from math import log

from assistant.answer import Answer, Note
from assistant.client import ChatRequest, Delta, ModelClient, Waiting
from assistant.commands import Command
from assistant.context import fenced
from assistant.errors import NoEdit, UsageError
from assistant.exchange import Exchange, exchange
from assistant.hesitation import NOTHING, Beginning, Hesitations
from assistant.refusals import BrokenSyntax, CodeChanged, CopiedCode, NoChange, NoMessage, UnknownName
from assistant.wire import Usage

LIKELY = log(0.15)
"""What is offered without a check must have been at least so likely: over code without a bug, a model hesitates less."""

SECOND_THOUGHTS = 3
"""Beginnings that the model hesitated over are tried so many times."""

EXPLANATION_TOKENS = 400
"""What a try that explains before it writes may say beside the code."""


@dataclass(frozen=True, slots=True)
class Try:
    """One prompt: a section of the command's prompt file, and the values that this section has beyond those of the first.

    beginning: the code that the reply begins with.  watched: whether the model is asked what it hesitated over.
    """

    section: str = "user"
    values: dict[str, str] = field(default_factory=dict)
    beginning: Beginning = NOTHING
    watched: bool = False

    @property
    def prefilled(self) -> bool:
        """Whether the reply begins inside its fence, so that the model writes code and nothing else."""
        return self.section != "unchanged"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one task is asked for and judged.

    request: what is sent in a try.  enough: whether a block that has closed can be all that was asked for.
    judged: the answer that a reply amounts to, or why it is none.  first: the prompt to begin with.
    hesitated: what the model nearly wrote in a watched try; None where that is not to be looked at.
    waiting: where that is put, and taken from.  once: the caller decides about what follows the first try.
    """

    command: Command
    request: Callable[[Try], Awaitable[ChatRequest]]
    enough: Callable[[str], bool]
    judged: Callable[[Exchange, Usage], Answer | NoEdit]
    first: Try = field(default_factory=Try)
    hesitated: Callable[[Exchange, Try], Sequence[Beginning]] | None = None
    waiting: Hesitations = field(default_factory=Hesitations)
    once: bool = False


async def until_usable(recipe: Recipe, client: ModelClient) -> AsyncGenerator[Waiting | Delta | Note | Answer]:
    """Ask until there is an answer, or no reason to ask again; the last item is the `Answer`, with the usage of all tries.

    Raises:
        NoEdit: no reply could be used.
    """
    usage = Usage()
    tried: list[Try] = []
    upcoming = recipe.first
    while True:
        tried.append(upcoming)
        request = await recipe.request(upcoming)
        try:
            async with aclosing(exchange(client, request, enough=recipe.enough)) as items:
                async for item in items:
                    if not isinstance(item, Exchange):
                        yield item
                        continue
                    usage += item.usage
                    outcome = await asyncio.to_thread(recipe.judged, item, usage)  # seconds, for a file of a megabyte
                    if recipe.hesitated is not None and upcoming.watched:
                        recipe.waiting.add(await asyncio.to_thread(recipe.hesitated, item, upcoming))
        except UsageError:
            if not upcoming.watched:
                raise
            upcoming = replace(upcoming, watched=False)  # a server that tells no log-probabilities after all
            continue
        if isinstance(outcome, Answer):
            yield outcome
            return
        following = None if recipe.once else _following(recipe, outcome, tried)
        if following is None:
            raise _final(outcome, tried)
        upcoming = following
        yield Note(_reason(upcoming))


_REASONS = {
    "unchanged": "The model changed nothing. Asking it once more, to say what is wrong before it writes.",
    "syntax": "The answer did not parse. Asking once more, with the error.",
    "unknown": "The answer used a name that is defined nowhere. Asking once more, with the name.",
    "code": "The answer changed code, not only comments. Asking once more.",
    "form": "The message had not the right form. Asking once more.",
    "copied": "The answer repeats the code under test. Asking once more.",
}


def _reason(upcoming: Try) -> str:
    if upcoming.watched:
        return "The model changed nothing. Looking where it hesitated."
    if upcoming.beginning.logprob:
        return f"Trying what it nearly wrote instead ({upcoming.beginning.percent} %)."
    return _REASONS[upcoming.section]


def _following(recipe: Recipe, refusal: NoEdit, tried: list[Try]) -> Try | None:
    """The next try: after a reply that changes nothing, one that looks where the model hesitates, then what it nearly wrote.

    Where it hesitates nowhere, it is asked what is wrong; elsewhere that fixed none of seven bugs, for most of the time.
    """
    if recipe.hesitated is None or not (recipe.first.prefilled and tried[-1].prefilled):
        return _next_try(recipe.command, refusal, tried)
    if not any(attempt.watched for attempt in tried):
        looking = replace(recipe.first, watched=True)
        return looking if isinstance(refusal, NoChange) else _next_try(recipe.command, refusal, tried)
    thoughts = [attempt for attempt in tried if attempt.beginning.logprob]
    beginning = recipe.waiting.next(LIKELY) if len(thoughts) < SECOND_THOUGHTS else None
    if beginning is not None:
        return Try(beginning=beginning)
    if thoughts:
        return None
    asked = any(attempt.section == "unchanged" for attempt in tried)
    explaining = Try("unchanged") if recipe.command.has("unchanged") and not asked else None
    return explaining or _next_try(recipe.command, refusal, tried)


def _next_try(command: Command, refusal: NoEdit, tried: list[Try]) -> Try | None:
    """The try that this refusal calls for, if it has not been made yet and the prompt file has one."""
    upcoming = _called_for(refusal)
    made = {attempt.section for attempt in tried}
    return upcoming if upcoming and upcoming.section not in made and command.has(upcoming.section) else None


def _called_for(refusal: NoEdit) -> Try | None:
    match refusal:
        case NoChange():
            return Try("unchanged")
        case BrokenSyntax(problem=problem) if problem is not None:
            values = {"line": str(problem.line + 1), "problem": problem.message, "attempt": fenced(refusal.reply)}
            return Try("syntax", values)
        case CodeChanged():
            return Try("code", {"problem": refusal.message})
        case NoMessage():
            return Try("form", {"problem": refusal.message, "attempt": fenced(refusal.reply)})
        case UnknownName():
            return Try("unknown", {"problem": refusal.message, "attempt": fenced(refusal.reply)})
        case CopiedCode():
            return Try("copied", {"problem": refusal.message})
        case _:
            return None


def _final(refusal: NoEdit, tried: list[Try]) -> NoEdit:
    different = [attempt for attempt in tried if not attempt.watched]
    looked = any(attempt.beginning.logprob for attempt in tried)  # then the first reply changed nothing
    if len(different) > 1 and (looked or isinstance(refusal, NoChange)):
        return NoChange(
            f"The model found nothing to change, in {len(different)} tries.",
            "Choose the function that fails, or a stronger model with -m.",
            refusal.reply,
        )
    return refusal
