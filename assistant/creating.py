"""Having the model write a new file: a translation, tests, a figure's script.  Nothing is written to the disk here.

A reply that is cut off, leaves code out, is in another language or does not parse is refused; one that does not parse, or that
copies the code under test, gets one more try that shows what is wrong.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from assistant import elision
from assistant.answer import Answer, Note
from assistant.client import ChatRequest, Delta, ModelClient, Waiting
from assistant.commands import Command
from assistant.context import attachments_text, fence_for, shown_path, shown_region
from assistant.conventions import conventions
from assistant.conversation import Conversation, start
from assistant.document import Document
from assistant.errors import ContextOverflow, NoEdit
from assistant.exchange import Exchange
from assistant.languages import PLAIN, PYTHON, Language, language_of_fence
from assistant.lines import body, split_lines
from assistant.new_paths import extension_of, path_beside, tests_name, translation_name
from assistant.opening_lines import names_under_test, opening_of_tests, without_imported_builtins
from assistant.refusals import BrokenSyntax, CopiedCode, NoChange, NoCode
from assistant.region import Region
from assistant.reply import Reply, code_of
from assistant.rewriting import reported, shown_surroundings
from assistant.syntax import definitions, problems
from assistant.trying import Recipe, Try, until_usable
from assistant.wash import refuse_hidden, washed
from assistant.wire import Usage

LEAST_TOKENS = 256
"""A task that leaves less of the window for the new file is refused."""

USUAL_TOKENS = 1500
"""A new file may have so many, or three times as many as what it is made from, unless the user allows more: a model that finds
no end would otherwise fill the window, for minutes on a CPU."""


@dataclass(frozen=True, slots=True)
class Creation:
    """What is to be written.

    language: that of the new file.  document, region: what it is made from, where it is made from one.
    attachments, piped: what the model is shown beside it.  problems: what tools report.
    instructions: what the project asks of its code, as text before every prompt.
    """

    command: Command
    language: Language
    question: str = ""
    document: Document | None = None
    region: Region | None = None
    attachments: tuple[Document, ...] = ()
    piped: str = ""
    max_tokens: int | None = None
    temperature: float = 0.0
    problems: tuple[str, ...] = ()
    instructions: str = ""


async def create_file(task: Creation, client: ModelClient) -> AsyncGenerator[Waiting | Delta | Note | Answer]:
    """Ask until there is a whole new file, or no reason to ask again; the last item is the `Answer`, with `code` and `path`.

    Raises:
        ContextOverflow: the window has no room for it, with numbers.
        NoEdit: the replies held no usable file.
    """
    recipe = Recipe(
        task.command,
        request=lambda attempt: _request(task, attempt, client),
        enough=lambda code: False,
        judged=lambda exchanged, usage: _outcome(task, exchanged, usage),
    )
    async with aclosing(until_usable(recipe, client)) as events:
        async for event in events:
            yield event


def conversation_of(task: Creation, attempt: Try) -> Conversation:
    """What the model is shown in this try, without any prefill."""
    region = ""
    if task.document is not None and task.region is not None:
        region = shown_region(task.document, task.region)
    values = {
        "context": shown_surroundings(task.document, task.region).text if task.document and task.region else "",
        "region": region,
        "files": attachments_text(task.attachments, task.piped),
        "language": task.language.name,
        "file": shown_path(task.document.path) if task.document else "",
        "framework": conventions(task.language).framework,
        "question": task.question,
        "problems": reported(task.problems),
        **attempt.values,
    }
    said = task.command.prompt(attempt.section, **values).strip()
    return start(task.instructions + said, task.command.prompt("system"))


async def _request(task: Creation, attempt: Try, client: ModelClient) -> ChatRequest:
    conversation = conversation_of(task, attempt)
    allowed = task.max_tokens or await _allowance(task, conversation, client)
    fence = fence_for(task.document.text if task.document else "")
    prefilled = client.profile.continues_assistant
    if prefilled:
        conversation = conversation.then("assistant", f"{fence}{task.language.fence}\n{_opening(task)}")
    return ChatRequest(
        conversation,
        max_tokens=allowed,
        temperature=task.temperature,
        stop=(f"\n{fence}",) if prefilled else (),
        urgency=task.command.urgency,
    )


async def _allowance(task: Creation, conversation: Conversation, client: ModelClient) -> int:
    prompt = await client.count(conversation)
    source = task.document.text if task.document else ""
    most = max(USUAL_TOKENS, 3 * (await client.count(start(source))).count) if source.strip() else USUAL_TOKENS
    if prompt.limit is None:
        return most
    if prompt.count + LEAST_TOKENS > prompt.limit:
        raise ContextOverflow(
            f"The question has {prompt.count:,} tokens; the model's window holds {prompt.limit:,}, the new file included.",
            "Choose fewer lines, or a model with a larger window.",
        )
    return min(prompt.limit - prompt.count, most)


def _opening(task: Creation) -> str:
    """The first lines of the new file, which are known beforehand."""
    if task.command.makes != "tests" or task.document is None or task.region is None:
        return ""
    return opening_of_tests(task.document, task.region)


def _outcome(task: Creation, exchanged: Exchange, usage: Usage) -> Answer | NoEdit:
    """The answer with its code and path, or why there is none."""
    reply = exchanged.reply
    try:
        code = code_of(reply, exchanged.finish_reason, task.language)
        text = _checked(task, _whole(task, code), _info(reply, code))
    except NoEdit as refusal:
        refusal.reply = reply.text
        return refusal
    return Answer(reply.text, text, exchanged.finish_reason, usage, path=_path(task, text))


def _whole(task: Creation, code: str) -> str:
    """The text of the file: the code, after the lines that the prompt began it with."""
    lines = washed(code, (), task.language)
    text = "".join(body(line) + "\n" for line in lines)
    opening = _opening(task)
    if opening and opening.splitlines()[-1] not in text:
        text = f"{opening}\n{text}"
    if task.command.makes == "tests" and task.language == PYTHON and task.document is not None:
        text = without_imported_builtins(text, task.document)
    return text if lines else ""


def _info(reply: Reply, code: str) -> str:
    return next((block.language for block in reply.blocks if block.code == code), "")


def _checked(task: Creation, text: str, info: str) -> str:
    """`text`, if it can be a file of the task's language."""
    if not text:
        raise NoCode("The answer's code is empty.", "Ask again.")
    named = language_of_fence(info)
    if named not in (None, PLAIN, task.language) and not _related(named, task.language):
        raise NoCode(f"The answer is in {named.name}, not in {task.language.name}.", "Ask again, or choose a stronger model.")
    elision.refuse(split_lines(text), split_lines(task.document.text) if task.document else (), task.language)
    refuse_hidden(text, task.document.text if task.document else "")
    _refuse_prose(text, task.language)
    found = problems(text, task.language)
    if found:
        raise BrokenSyntax(
            f"The answer does not parse: line {found[0].line + 1}, {found[0].message}.",
            "Nothing was written; ask again, or choose fewer lines.",
            problem=found[0],
        )
    if task.document is not None:
        _refuse_repetition(task, task.document, text)
    return text


def _related(one: Language, other: Language) -> bool:
    """Whether code of one often passes under the other's name."""
    families = (("JavaScript", "TypeScript", "TypeScript JSX"), ("C", "C++"))
    return any(one.name in family and other.name in family for family in families)


def _refuse_prose(text: str, language: Language) -> None:
    """What has none of the signs that code cannot do without, in a language that no grammar can judge, is no code."""
    if language.grammar is None and language.brackets and not any(sign in text for sign in "(){}[]=;:<"):
        raise NoCode("The answer holds no code.", "Read it, and ask again in other words.")


def _refuse_repetition(task: Creation, document: Document, text: str) -> None:
    if text.split() == document.text.split():
        raise NoChange("The answer is the file that it was made from.", "Ask again, or choose a stronger model.")
    if task.command.makes != "tests" or task.region is None:
        return
    repeated = {found.path[0] for found in definitions(text, task.language)} & set(names_under_test(document, task.region))
    if repeated:
        raise CopiedCode(
            f"The answer defines {', '.join(sorted(repeated))} again, so that its tests would test a copy.",
            "Nothing was written; ask again, or choose a stronger model.",
        )


def _path(task: Creation, text: str) -> Path:
    beside = task.document.path if task.document else None
    match task.command.makes:
        case "tests":
            name = tests_name(beside, task.language)
        case "translation":
            name = translation_name(beside, task.language, text)
        case _:
            name = f"{task.command.name}{extension_of(task.language)}"
    return path_beside(beside, name)
