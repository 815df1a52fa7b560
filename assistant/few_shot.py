"""Speaking to a base model by example: a plain-text template after dialogues that show the assistant's manner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from assistant.conversation import Conversation, Message, Role
from assistant.errors import UsageError
from assistant.template import END_NAMES, Segment, Text

_TITLES: dict[Role, str] = {"system": "Notes", "user": "Human", "assistant": "Assistant"}


@dataclass(frozen=True, slots=True)
class FewShotTemplate:
    """Plain text for base models, after examples of the manner in which the assistant answers.

    A turn begins with a line such as `=== Human`.  The bar of equals signs is longer than any that begins a line of the
    conversation or the examples, so that no text can look like the beginning of a turn.
    """

    examples: tuple[Conversation, ...]
    preface: str = ""
    name: str = "few-shot"
    end_names: tuple[str, ...] = END_NAMES

    def segments(self, conversation: Conversation, *, generate: bool) -> Iterator[Segment]:
        """See `Template.segments`."""
        bar = self._bar(conversation)
        if self.preface:
            yield Text(f"{self.preface}\n\n")
        for example in self.examples:
            yield from (self._turn(message, bar) for message in example.messages)
        closed = conversation.messages[:-1] if generate and conversation.continues_assistant else conversation.messages
        yield from (self._turn(message, bar) for message in closed)
        if generate:
            yield Text(f"{bar} {_TITLES['assistant']}\n")
            if conversation.continues_assistant:
                yield Text(conversation.messages[-1].content)

    def stop_texts(self, conversation: Conversation) -> tuple[str, ...]:
        """The beginning of any next turn."""
        bar = self._bar(conversation)
        return tuple(f"\n{bar} {title}" for title in _TITLES.values())

    def reply_opening(self, conversation: Conversation) -> str:
        """None: the prompt ends where the content begins."""
        return ""

    def _bar(self, conversation: Conversation) -> str:
        everything = (*self.examples, conversation)
        lines = (line for one in everything for message in one.messages for line in message.content.split("\n"))
        return "=" * max(3, 1 + max((len(line) - len(line.lstrip("=")) for line in lines), default=0))

    def _turn(self, message: Message, bar: str) -> Segment:
        return Text(f"{bar} {_TITLES[message.role]}\n{message.content}\n\n", trained=message.role == "assistant")


def parse_few_shot(text: str) -> tuple[str, tuple[Conversation, ...]]:
    """Preface and examples of a few-shot prompt file.

    The form is that of the published "technical assistant" prompt: a preface, then dialogues separated by lines of dashes, in
    which a paragraph that begins with `Human:` or `Assistant:` starts a turn.

    Raises:
        UsageError: no dialogue was found in it.
    """
    preface, *dialogues = _split_dashes(text)
    examples = tuple(Conversation(messages) for messages in map(_dialogue, dialogues) if messages)
    if not examples:
        raise UsageError(
            "The few-shot file holds no dialogue.",
            "Separate dialogues by lines of five dashes and begin turns with 'Human:' and 'Assistant:'.",
        )
    return preface.strip(), examples


def _split_dashes(text: str) -> list[str]:
    parts: list[list[str]] = [[]]
    for line in text.splitlines():
        if len(line) >= 5 and not line.strip("-"):
            parts.append([])
        else:
            parts[-1].append(line)
    return ["\n".join(part) for part in parts]


def _dialogue(text: str) -> tuple[Message, ...]:
    turns: list[tuple[Role, list[str]]] = []
    for line in text.strip().split("\n"):
        if line.startswith("Human:"):
            turns.append(("user", [line.removeprefix("Human:").strip()]))
        elif line.startswith("Assistant:"):
            turns.append(("assistant", [line.removeprefix("Assistant:").strip()]))
        elif turns:
            turns[-1][1].append(line)
    return tuple(Message(role, "\n".join(lines).strip()) for role, lines in turns)
