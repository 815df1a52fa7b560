"""Having a region of a document rewritten by the model: the edit recipe from the prompt to the plan.

A reply that changes nothing, or that no longer parses, gets one more try with a prompt of its own; everything else that is not
an edit is refused, and the reply is kept in the error.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil

from assistant.answer import Answer, Note
from assistant.client import ChatRequest, Delta, ModelClient, Waiting
from assistant.commands import Command
from assistant.comments import refuse_changed_code, same_code, without_new_docstrings
from assistant.context import Shown, check_room, fence_for, shown_path, shown_region, surroundings
from assistant.conventions import conventions
from assistant.conversation import Conversation, start
from assistant.document import Document
from assistant.edits import rewrite
from assistant.endpoints import CHARACTERS_PER_TOKEN
from assistant.errors import NoEdit
from assistant.exchange import Exchange
from assistant.hesitation import ALTERNATIVES, Beginning, Hesitations, beginnings
from assistant.lines import split_lines
from assistant.refusals import NoChange, UnknownName
from assistant.region import Region
from assistant.reply import code_of
from assistant.suspicions import new_unknown_names
from assistant.syntax import definitions
from assistant.trying import EXPLANATION_TOKENS, Recipe, Try, until_usable
from assistant.wire import Usage

SURROUNDINGS_TOKENS = 800
"""At most so many tokens of text around the region are shown: a CPU reads about a hundred in a second."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What is to be rewritten.

    max_tokens: the longest reply; None allows what the region asks for.  problems: what tools report about it.
    question: the user's own words.  seed: of a reply that is drawn.  first: the prompt of the first try.
    instructions: what the project asks of its code, as text before every prompt.
    waiting: where to put what the model hesitated over, for a caller that makes further tries by itself.
    """

    command: Command
    document: Document
    region: Region
    max_tokens: int | None = None
    temperature: float = 0.0
    problems: tuple[str, ...] = ()
    question: str = ""
    seed: int | None = None
    first: Try = field(default_factory=Try)
    instructions: str = ""
    waiting: Hesitations | None = None


async def rewrite_region(task: Rewrite, client: ModelClient) -> AsyncGenerator[Waiting | Delta | Note | Answer]:
    """Ask until there is a safe edit, or no reason to ask again; the last item is the `Answer`.

    Raises:
        ContextOverflow: the region is too large for the window, with numbers.
        NoEdit: no edit could be made of the replies.
    """
    for sentence in surrounding(task).left_out:
        yield Note(sentence)
    recipe = Recipe(
        task.command,
        request=lambda attempt: _request(task, attempt, client),
        enough=lambda code: _covers(task, code),
        judged=lambda exchanged, usage: _outcome(task, exchanged, usage),
        first=_first(task, client),
        hesitated=partial(_hesitated, task) if _can_look(task, client) else None,
        waiting=task.waiting or Hesitations(),
        once=task.waiting is not None,
    )
    async with aclosing(until_usable(recipe, client)) as events:
        async for event in events:
            yield event


def conversation_of(task: Rewrite, attempt: Try) -> Conversation:
    """What the model is shown in this try, without any prefill."""
    values = {
        "context": surrounding(task).text,
        "region": shown_region(task.document, task.region),
        "language": task.document.language.name,
        "file": shown_path(task.document.path),
        "docstring": conventions(task.document.language).documentation,
        "question": task.question,
        "problems": reported(task.problems),
        **attempt.values,
    }
    said = task.command.prompt(attempt.section, **values).strip()
    return start(task.instructions + said, task.command.prompt("system"))


def surrounding(task: Rewrite) -> Shown:
    """The text around the region, chosen by an estimate of its tokens."""
    return shown_surroundings(task.document, task.region)


def shown_surroundings(document: Document, region: Region) -> Shown:
    """The text around a region, within `SURROUNDINGS_TOKENS`, by an estimate."""
    return surroundings(document, region, SURROUNDINGS_TOKENS, lambda text: ceil(len(text) / CHARACTERS_PER_TOKEN))


async def _request(task: Rewrite, attempt: Try, client: ModelClient) -> ChatRequest:
    conversation = conversation_of(task, attempt)
    region = _region_text(task)
    allowed = task.max_tokens or await _allowance(conversation, region, client)
    fence = fence_for(region)
    prefilled = attempt.prefilled and client.profile.continues_assistant
    begun = attempt.beginning.text if prefilled else ""
    if prefilled:
        conversation = conversation.then("assistant", f"{fence}{task.document.language.fence}\n{begun}")
    return ChatRequest(
        conversation,
        max_tokens=allowed if attempt.prefilled else allowed + EXPLANATION_TOKENS,
        temperature=task.temperature,
        seed=task.seed,
        stop=(f"\n{fence}",) if prefilled else (),
        prediction=region,
        urgency=task.command.urgency,
        alternatives=ALTERNATIVES if attempt.watched else 0,
        begun=begun,
    )


def _can_look(task: Rewrite, client: ModelClient) -> bool:
    """Whether the model may be asked what it hesitated over: a bug is where it does, and what else is asked for is not."""
    return task.command.name == "fix" and client.profile.hesitates and client.profile.continues_assistant


def _first(task: Rewrite, client: ModelClient) -> Try:
    """The first try; where a function is repaired the reply begins with its head, or it might begin with what stands before."""
    first = task.first
    if not first.prefilled or not client.profile.continues_assistant or task.command.name != "fix":
        return first
    beginning = first.beginning if first.beginning.text else Beginning(_head(task))
    return replace(first, beginning=beginning, watched=task.waiting is not None and not first.beginning.text)


def _head(task: Rewrite) -> str:
    """The region's text up to the name of the definition that it begins with; empty where it begins otherwise."""
    text = _region_text(task)
    line = text.partition("\n")[0]
    name = next((each.name for each in definitions(text, task.document.language) if each.start == 0), "")
    found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", line) if name else None
    return line[: found.end()] if found else ""


def _hesitated(task: Rewrite, exchanged: Exchange, attempt: Try) -> tuple[Beginning, ...]:
    blocks = exchanged.reply.blocks
    return beginnings(attempt.beginning.text, exchanged.tokens, blocks[0].code, task.document.language) if blocks else ()


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
        if task.command.name == "fix":  # what documents nothing is to be repaired, not documented
            code = without_new_docstrings(code, _region_text(task), task.document.language)
        plan = rewrite(task.document, task.region, code)
        if task.command.name == "fix":
            _refuse_what_cannot_help(task.document, plan.apply(task.document.text), code)
        if task.command.keeps_code:
            refuse_changed_code(task.document, plan.apply(task.document.text), code)
    except NoEdit as refusal:
        refusal.reply = reply.text
        return refusal
    return Answer(reply.text, code, exchanged.finish_reason, usage, plan, task.region)


def _refuse_what_cannot_help(document: Document, after: str, code: str) -> None:
    """No bug goes by changing comments alone, and none by forgetting where a name comes from."""
    if document.language.grammar is not None and same_code(document, after):
        raise NoChange("The answer changes comments alone.", "Say what is wrong, or ask again in other words.", code)
    names = new_unknown_names(document.text, after) if document.language.name == "Python" else ()
    if names:
        shown = ", ".join(f"`{name}`" for name in names[:5])
        raise UnknownName(f"The answer uses {shown} without defining it.", "Nothing was changed; ask again.", code)


def _covers(task: Rewrite, code: str) -> bool:
    """Whether a block can be the whole region, rather than a quotation from it."""
    lines = [line for line in split_lines(code) if line.strip()]
    region = [line for line in split_lines(_region_text(task)) if line.strip()]
    return 2 * len(lines) >= len(region)


def reported(problems: tuple[str, ...]) -> str:
    """A paragraph about what tools report, with the empty line after it; nothing where they report nothing."""
    return "\n".join(("Tools report:", *(f"- {each}" for each in problems), "", "")) if problems else ""


def _region_text(task: Rewrite) -> str:
    return "".join(split_lines(task.document.text)[task.region.start : task.region.end])


def _subject(task: Rewrite) -> str:
    """The name of the first definition that begins in the region, empty where there is none."""
    found = definitions(task.document.text, task.document.language)
    return next((each.name for each in found if task.region.start <= each.start < task.region.end), "")
