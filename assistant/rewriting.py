"""Having a region of a document rewritten by the model: the edit recipe from the prompt to the plan.

A reply that changes nothing, or that no longer parses, gets one more try with a prompt of its own; everything else that is not
an edit is refused, and the reply is kept in the error.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from math import ceil

from assistant.answer import Answer, Note
from assistant.client import ChatRequest, Delta, ModelClient, Waiting
from assistant.commands import Command
from assistant.context import Shown, check_room, fence_for, fenced, shown_region, surroundings
from assistant.conversation import Conversation, start
from assistant.document import Document
from assistant.edits import rewrite
from assistant.endpoints import CHARACTERS_PER_TOKEN
from assistant.errors import NoEdit
from assistant.exchange import Exchange, exchange
from assistant.lines import split_lines
from assistant.refusals import BrokenSyntax, NoChange
from assistant.region import Region
from assistant.reply import code_of
from assistant.syntax import definitions
from assistant.wire import Usage

SURROUNDINGS_TOKENS = 800
"""At most so many tokens of text around the region are shown: a CPU reads about a hundred in a second."""

EXPLANATION_TOKENS = 400
"""What a try that explains before it rewrites may say beside the code."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What is to be rewritten.

    max_tokens: the longest reply; None allows what the region asks for.  problems: what tools report about it.
    """

    command: Command
    document: Document
    region: Region
    max_tokens: int | None = None
    temperature: float = 0.0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Try:
    """One prompt: a section of the command's prompt file, and the values that this section has beyond those of the first."""

    section: str = "user"
    values: dict[str, str] = field(default_factory=dict)

    @property
    def prefilled(self) -> bool:
        """Whether the reply begins inside its fence, so that the model writes code and nothing else."""
        return self.section != "unchanged"


async def rewrite_region(task: Rewrite, client: ModelClient) -> AsyncGenerator[Waiting | Delta | Note | Answer]:
    """Ask until there is a safe edit, or no reason to ask again; the last item is the `Answer`.

    Raises:
        ContextOverflow: the region is too large for the window, with numbers.
        NoEdit: no edit could be made of the replies.
    """
    usage = Usage()
    tried: list[Try] = []
    upcoming = Try()
    for sentence in surrounding(task).left_out:
        yield Note(sentence)
    while True:
        tried.append(upcoming)
        request = await _request(task, upcoming, client)
        async with aclosing(exchange(client, request, enough=lambda code: _covers(task, code))) as items:
            async for item in items:
                if isinstance(item, Exchange):
                    usage += item.usage
                    outcome = _outcome(task, item, usage)
                else:
                    yield item
        if isinstance(outcome, Answer):
            yield outcome
            return
        following = _next_try(task, outcome, tried)
        if following is None:
            raise _final(outcome, tried)
        upcoming = following
        yield Note(_REASONS[upcoming.section])


def conversation_of(task: Rewrite, attempt: Try) -> Conversation:
    """What the model is shown in this try, without any prefill."""
    values = {
        "context": surrounding(task).text,
        "region": shown_region(task.document, task.region),
        "language": task.document.language.name,
        "problems": _reported(task.problems),
        **attempt.values,
    }
    return start(task.command.prompt(attempt.section, **values).strip(), task.command.prompt("system"))


def surrounding(task: Rewrite) -> Shown:
    """The text around the region, chosen by an estimate of its tokens."""
    return surroundings(task.document, task.region, SURROUNDINGS_TOKENS, lambda text: ceil(len(text) / CHARACTERS_PER_TOKEN))


_REASONS = {
    "unchanged": "The model changed nothing. Asking it once more, to say what is wrong before it writes.",
    "syntax": "The answer did not parse. Asking once more, with the error.",
}


async def _request(task: Rewrite, attempt: Try, client: ModelClient) -> ChatRequest:
    conversation = conversation_of(task, attempt)
    region = _region_text(task)
    allowed = task.max_tokens or await _allowance(conversation, region, client)
    fence = fence_for(region)
    prefilled = attempt.prefilled and client.profile.continues_assistant
    if prefilled:
        conversation = conversation.then("assistant", f"{fence}{task.document.language.fence}\n")
    return ChatRequest(
        conversation,
        max_tokens=allowed if attempt.prefilled else allowed + EXPLANATION_TOKENS,
        temperature=task.temperature,
        stop=(f"\n{fence}",) if prefilled else (),
        prediction=region,
        urgency=task.command.urgency,
    )


async def _allowance(conversation: Conversation, region: str, client: ModelClient) -> int:
    """How many tokens the reply may have.

    Raises:
        ContextOverflow: the window has too few left for the region's new text.
    """
    prompt = await client.count(conversation)
    own = await client.count(start(region))
    window = prompt.limit or 2**31
    needed = check_room(own.count, prompt.count, window)
    return min(2 * needed + 256, window - prompt.count)


def _outcome(task: Rewrite, exchanged: Exchange, usage: Usage) -> Answer | NoEdit:
    """The answer with its plan, or why there is none."""
    reply = exchanged.reply
    try:
        code = code_of(reply, exchanged.finish_reason, task.document.language, _subject(task))
        plan = rewrite(task.document, task.region, code)
    except NoEdit as refusal:
        refusal.reply = reply.text
        return refusal
    return Answer(reply.text, code, exchanged.finish_reason, usage, plan, task.region)


def _next_try(task: Rewrite, refusal: NoEdit, tried: list[Try]) -> Try | None:
    """The try that this refusal calls for, if it has not been made yet and the prompt file has one."""
    upcoming = None
    if isinstance(refusal, NoChange):
        upcoming = Try("unchanged")
    elif isinstance(refusal, BrokenSyntax) and refusal.problem is not None:
        line = refusal.problem.line + 1
        values = {"line": str(line), "problem": refusal.problem.message, "attempt": fenced(refusal.reply)}
        upcoming = Try("syntax", values)
    made = {attempt.section for attempt in tried}
    return upcoming if upcoming and upcoming.section not in made and task.command.has(upcoming.section) else None


def _final(refusal: NoEdit, tried: list[Try]) -> NoEdit:
    if isinstance(refusal, NoChange) and len(tried) > 1:
        return NoChange(
            f"The model found nothing to change, in {len(tried)} tries.",
            "Choose the function that fails, or a stronger model with -m.",
            refusal.reply,
        )
    return refusal


def _covers(task: Rewrite, code: str) -> bool:
    """Whether a block can be the whole region, rather than a quotation from it."""
    lines = [line for line in split_lines(code) if line.strip()]
    region = [line for line in split_lines(_region_text(task)) if line.strip()]
    return 2 * len(lines) >= len(region)


def _reported(problems: tuple[str, ...]) -> str:
    """A paragraph about what tools report, with the empty line after it; nothing where they report nothing."""
    return "\n".join(("Tools report:", *(f"- {each}" for each in problems), "", "")) if problems else ""


def _region_text(task: Rewrite) -> str:
    return "".join(split_lines(task.document.text)[task.region.start : task.region.end])


def _subject(task: Rewrite) -> str:
    """The name of the first definition that begins in the region, empty where there is none."""
    found = definitions(task.document.text, task.document.language)
    return next((each.name for each in found if task.region.start <= each.start < task.region.end), "")
