"""From dialogues to token ids and loss masks, by the one encoder that the model host uses too."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tokenizers import Tokenizer

from assistant.conversation import Conversation, Message
from assistant.exact_tokenizer import ExactTokenizer
from assistant.template import CHATML, STARCHAT, ChatTemplate, Control, Encoded, encode

TEMPLATES: dict[str, ChatTemplate] = {"starchat": STARCHAT, "chatml": CHATML}


class Vocabulary(ExactTokenizer):
    """A run's tokenizer as the template needs it, and as the model host will encode with it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(json.loads(tokenizer.to_str()), Tokenizer.from_str)


@dataclass(frozen=True, slots=True)
class Pieces:
    """A dialogue in pieces of at most a block.  left_out: exchanges that are longer than a block by themselves."""

    encoded: tuple[Encoded, ...]
    left_out: int


def pieces(conversation: Conversation, template: ChatTemplate, vocabulary: Vocabulary, limit: int) -> Pieces:
    """The dialogue, whole where it fits into `limit` tokens, else cut on borders between an answer and the next question.

    Each piece begins with the system message.  `Encoded.trained` is true exactly for what the assistant has to write: the
    text after its role token up to and including the end token.
    """
    whole = encode(template, conversation, vocabulary, generate=False)
    if len(whole.ids) <= limit:
        return Pieces((whole,), 0)
    done: list[Encoded] = []
    current: tuple[tuple[Message, ...], Encoded] | None = None
    left_out = 0
    for exchange in _exchanges(conversation):
        grown = _try((*current[0], *exchange), conversation, template, vocabulary, limit) if current else None
        if current and grown is None:
            done.append(current[1])
        current = grown or _try(exchange, conversation, template, vocabulary, limit)
        left_out += current is None
    return Pieces((*done, *([current[1]] if current else [])), left_out)


def control_names(template: ChatTemplate) -> tuple[str, ...]:
    """The control tokens that the template writes, in the order in which a vocabulary is given them."""
    every = Conversation((Message("system", "s"), Message("user", "u"), Message("assistant", "a")))
    segments = template.segments(every, generate=False)
    return tuple(dict.fromkeys(segment.name for segment in segments if isinstance(segment, Control)))


def _exchanges(conversation: Conversation) -> list[tuple[Message, ...]]:
    turns = conversation.turns
    return [turns[start : start + 2] for start in range(0, len(turns), 2)]


def _try(
    turns: tuple[Message, ...], whole: Conversation, template: ChatTemplate, vocabulary: Vocabulary, limit: int
) -> tuple[tuple[Message, ...], Encoded] | None:
    system = (Message("system", whole.system),) if whole.system else ()
    encoded = encode(template, Conversation((*system, *turns)), vocabulary, generate=False)
    return (turns, encoded) if len(encoded.ids) <= limit else None
