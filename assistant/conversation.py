"""Conversations as frozen values: who said what, in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from assistant.errors import UsageError

Role = Literal["system", "user", "assistant"]
ROLES: tuple[str, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: the role that speaks and what it says, as plain text without control tokens."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in order: at most one system message, and it comes first.

    A final message of the assistant is one that the model is to continue.

    Raises:
        UsageError: the conversation is empty, or a system message stands anywhere but first.
    """

    messages: tuple[Message, ...]

    def __post_init__(self) -> None:
        if not self.messages:
            raise UsageError("A conversation needs at least one message.", "Send a user message.")
        if any(message.role == "system" for message in self.messages[1:]):
            raise UsageError("A system message may only come first.", "Put it at the start or send it as a user message.")

    @property
    def system(self) -> str:
        """The system message's text, empty where there is none."""
        first = self.messages[0]
        return first.content if first.role == "system" else ""

    @property
    def turns(self) -> tuple[Message, ...]:
        """All but the system message."""
        return self.messages[1:] if self.messages[0].role == "system" else self.messages

    @property
    def continues_assistant(self) -> bool:
        """Whether the last message is the beginning of the reply that the model is to continue."""
        return self.messages[-1].role == "assistant"

    def then(self, role: Role, content: str) -> Conversation:
        """The same conversation with one more message."""
        return Conversation((*self.messages, Message(role, content)))

    def as_openai(self) -> list[dict[str, str]]:
        """The `messages` array of the OpenAI chat API.

        Half of a surrogate pair, which is how Python holds an argument or file name that is no UTF-8, becomes a question mark.
        """
        return [
            {"role": message.role, "content": message.content.encode(errors="replace").decode()} for message in self.messages
        ]


def start(user: str, system: str = "") -> Conversation:
    """A conversation of one user message, after a system message where there is one."""
    opening = (Message("system", system),) if system else ()
    return Conversation((*opening, Message("user", user)))


def from_openai(messages: object) -> Conversation:
    """A conversation from the `messages` array of the OpenAI chat API.

    `content` may be a string or an array of `{"type": "text", "text": ...}` parts, which are joined by newlines; the role
    `developer` is read as `system`.

    Raises:
        UsageError: naming the message and what is wrong with it.
    """
    if not isinstance(messages, list):
        raise UsageError("`messages` must be an array.", "Send [{'role': 'user', 'content': '…'}].")
    return Conversation(tuple(_message(number, raw) for number, raw in enumerate(messages)))


def _message(number: int, raw: object) -> Message:
    if not isinstance(raw, Mapping):
        raise UsageError(f"messages[{number}] must be an object.", "Send {'role': …, 'content': …}.")
    role = "system" if raw.get("role") == "developer" else raw.get("role")
    if role not in ROLES:
        raise UsageError(f"messages[{number}].role is {role!r}.", f"Use one of {', '.join(ROLES)}.")
    return Message(cast(Role, role), _text(number, raw.get("content")))


def _text(number: int, content: object) -> str:
    if isinstance(content, str):
        return _unicode(number, content)
    if isinstance(content, Iterable) and not isinstance(content, Mapping):
        return "\n".join(_part(number, part) for part in content)
    raise UsageError(f"messages[{number}].content must be text.", "Send a string or an array of text parts.")


def _part(number: int, part: object) -> str:
    if isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return _unicode(number, part["text"])
    raise UsageError(f"messages[{number}].content holds a part that is not text.", "Only parts of type 'text' are understood.")


def _unicode(number: int, text: str) -> str:
    """`text` itself; JSON can carry halves of surrogate pairs, which no tokenizer can encode."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"messages[{number}].content holds half of a surrogate pair at character {error.start}.", "Send valid Unicode text."
        ) from error
    return text
