"""From conversations to token ids: the only maker of them, shared by the model host and by training.

A template turns a conversation into segments.  A `Control` segment becomes the id of a control token, looked up by name; a
`Text` segment is encoded as data, with the tokenizer's special-token splitting on.  Text from a user or a file is only ever
`Text`, so nothing that it contains can begin or end a turn.

Sources: StarChat's dialogue format as published with starchat-alpha and -beta; ChatML as used by StarChat2, Qwen and SmolLM2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

from assistant.conversation import Conversation, Message, Role
from assistant.errors import ModelError, UsageError


class Tokenizer(Protocol):
    """What a template needs of a tokenizer; each engine brings its own."""

    def control_id(self, name: str) -> int | None:
        """The id of the control token called `name`, or None where the vocabulary has none."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of `text` as data: never a control id, whatever it contains, and nothing added."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; control tokens appear under their names."""
        ...


@dataclass(frozen=True, slots=True)
class Control:
    """A control token, by its name in the vocabulary.  `trained`: whether training computes a loss on it."""

    name: str
    trained: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text.  `trained`: whether training computes a loss on its tokens."""

    text: str
    trained: bool = False


Segment = Control | Text


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids and what goes with them.

    ids, trained: the same length; `trained[i]` says whether training computes a loss on `ids[i]`.
    stop_ids: ids that end the assistant's reply.
    stop_texts: texts that end it, for templates whose turns are not marked by control tokens.
    opening: text that the template puts between what invites a reply and its content; a reply begins with it by form.
    """

    ids: tuple[int, ...]
    trained: tuple[bool, ...]
    stop_ids: frozenset[int] = frozenset()
    stop_texts: tuple[str, ...] = ()
    opening: str = ""


class Template(Protocol):
    """A way to write a conversation down for a model."""

    @property
    def name(self) -> str: ...

    @property
    def end_names(self) -> tuple[str, ...]:
        """Control tokens that end a reply, as far as the vocabulary has them."""
        ...

    def segments(self, conversation: Conversation, *, generate: bool) -> Iterator[Segment]:
        """The conversation in segments.

        `generate`: leave the assistant's turn open, so that the model speaks next (continuing the final message where
        that is the assistant's); otherwise every turn is closed, as training needs it.
        """
        ...

    def stop_texts(self, conversation: Conversation) -> tuple[str, ...]:
        """Texts at which the reply is over; empty where control tokens end it."""
        ...

    def reply_opening(self, conversation: Conversation) -> str:
        """What a reply begins with before its content, such as StarChat's newline after `<|assistant|>`."""
        ...


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """Turns marked by control tokens.

    opening: for each role the segments before its content.
    prompt: what invites the assistant to speak, where its turn has no content yet.
    end: the control token after a turn's content, followed by a newline.
    system_always: whether a system turn is written even if it is empty.
    """

    name: str
    opening: dict[Role, tuple[Segment, ...]] = field(hash=False)
    prompt: tuple[Segment, ...]
    end: str
    end_names: tuple[str, ...]
    system_always: bool = False

    def segments(self, conversation: Conversation, *, generate: bool) -> Iterator[Segment]:
        """See `Template.segments`."""
        if conversation.system or self.system_always:
            yield from self._turn(Message("system", conversation.system))
        turns = conversation.turns
        open_turn = generate and conversation.continues_assistant
        for message in turns[:-1] if open_turn else turns:
            yield from self._turn(message)
        if open_turn and turns[-1].content:
            yield from self._content(turns[-1])
        elif generate:
            yield from self.prompt

    def stop_texts(self, conversation: Conversation) -> tuple[str, ...]:
        """None: control tokens end the reply."""
        return ()

    def reply_opening(self, conversation: Conversation) -> str:
        """What stands before the assistant's content in closed turns, and not in the prompt."""
        if conversation.continues_assistant and conversation.messages[-1].content:
            return ""
        rest = self.opening["assistant"][len(self.prompt) :]
        return "".join(segment.text for segment in rest if isinstance(segment, Text))

    def _turn(self, message: Message) -> Iterator[Segment]:
        yield from self._content(message)
        yield Control(self.end, trained=message.role == "assistant")
        yield Text("\n")

    def _content(self, message: Message) -> Iterator[Segment]:
        yield from self.opening[message.role]
        yield Text(message.content, trained=message.role == "assistant")


def _starchat_opening(role: Role) -> tuple[Segment, ...]:
    # The reply is generated from the bare <|assistant|>, so its newline is the model's to write, and is trained.
    return (Control(f"<|{role}|>"), Text("\n", trained=role == "assistant"))


def _chatml_opening(role: Role) -> tuple[Segment, ...]:
    return (Control("<|im_start|>"), Text(f"{role}\n"))


END_NAMES = ("<|end|>", "<|im_end|>", "<|endoftext|>", "</s>", "<|eot_id|>")

STARCHAT = ChatTemplate(
    name="starchat",
    opening={role: _starchat_opening(role) for role in ("system", "user", "assistant")},
    prompt=(Control("<|assistant|>"),),
    end="<|end|>",
    end_names=END_NAMES,
    system_always=True,
)
CHATML = ChatTemplate(
    name="chatml",
    opening={role: _chatml_opening(role) for role in ("system", "user", "assistant")},
    prompt=_chatml_opening("assistant"),
    end="<|im_end|>",
    end_names=END_NAMES,
)


def encode(template: Template, conversation: Conversation, tokenizer: Tokenizer, *, generate: bool = True) -> Encoded:
    """The token ids of a conversation, and which of them training computes a loss on.

    Neighbouring texts are encoded as one, so that the ids are those of the whole text between two control tokens, except
    where trained text begins or ends.

    Raises:
        ModelError: the vocabulary lacks a control token of the template.
    """
    ids: list[int] = []
    trained: list[bool] = []
    for segment in _joined(template.segments(conversation, generate=generate)):
        new = [_control(tokenizer, segment.name)] if isinstance(segment, Control) else tokenizer.encode(segment.text)
        ids.extend(new)
        trained.extend([segment.trained] * len(new))
    opening = template.reply_opening(conversation) if generate else ""
    return Encoded(tuple(ids), tuple(trained), stop_ids(template, tokenizer), template.stop_texts(conversation), opening)


def stop_ids(template: Template, tokenizer: Tokenizer) -> frozenset[int]:
    """The ids of every end token of the template that the vocabulary has."""
    found = (tokenizer.control_id(name) for name in template.end_names)
    return frozenset(token for token in found if token is not None)


def recognise(tokenizer: Tokenizer) -> ChatTemplate:
    """The chat template whose control tokens this vocabulary has; a model's own template code is never run.

    Raises:
        ModelError: none of them fits.
    """
    for template in (STARCHAT, CHATML):
        if all(tokenizer.control_id(name) is not None for name in _control_names(template)):
            return template
    raise ModelError(
        "This model's vocabulary has the control tokens of no chat template that is known here (StarChat, ChatML).",
        'Choose a chat model, or add `template = "few-shot"` to its entry to speak to a base model by example.',
    )


_FILL = (("<fim_prefix>", "<fim_suffix>", "<fim_middle>"), ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"))


def encode_fill(prefix: str, suffix: str, tokenizer: Tokenizer) -> Encoded:
    """Token ids that ask for the text between `prefix` and `suffix` (StarCoder's and Qwen's fill-in-the-middle tokens).

    Raises:
        UsageError: the model was not trained to fill in the middle.
    """
    for names in _FILL:
        controls = [tokenizer.control_id(name) for name in names]
        before, after, middle = controls
        if before is not None and after is not None and middle is not None:
            ids = (before, *tokenizer.encode(prefix), after, *tokenizer.encode(suffix), middle)
            ends = (*END_NAMES, *names, "<|file_sep|>", "<file_sep>", "<|repo_name|>")
            stops = frozenset(token for token in map(tokenizer.control_id, ends) if token is not None)
            return Encoded(ids, (False,) * len(ids), stops)
    raise UsageError("This model has no fill-in-the-middle tokens.", "Send a prompt without a suffix, or choose a code model.")


def _joined(segments: Iterable[Segment]) -> Iterator[Segment]:
    for key, group in groupby(segments, key=lambda segment: (type(segment), segment.trained)):
        if key[0] is Control:
            yield from group
        else:
            text = "".join(segment.text for segment in group if isinstance(segment, Text))
            if text:
                yield Text(text, key[1])


def _control(tokenizer: Tokenizer, name: str) -> int:
    token = tokenizer.control_id(name)
    if token is None:
        raise ModelError(f"The model's vocabulary has no control token {name}.", "Choose another template for this model.")
    return token


def _control_names(template: ChatTemplate) -> set[str]:
    opening = (segment for segments in template.opening.values() for segment in segments)
    return {segment.name for segment in opening if isinstance(segment, Control)} | {template.end}
