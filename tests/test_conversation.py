"""Conversations: what is accepted from the OpenAI API, and what is refused by name."""

from __future__ import annotations

import pytest

from assistant.conversation import Conversation, Message, from_openai, start
from assistant.errors import UsageError


def test_openai_messages_there_and_back() -> None:
    conversation = start("Hi", "Be brief.").then("assistant", "Hello")
    assert from_openai(conversation.as_openai()) == conversation
    assert conversation.system == "Be brief."
    assert [turn.role for turn in conversation.turns] == ["user", "assistant"]
    assert conversation.continues_assistant


def test_text_parts_are_joined_and_developer_means_system() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    conversation = from_openai([{"role": "developer", "content": "s"}, {"role": "user", "content": parts}])
    assert conversation.messages == (Message("system", "s"), Message("user", "a\nb"))


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ("hello", "must be an array"),
        ([], "at least one message"),
        (["hello"], r"messages\[0\] must be an object"),
        ([{"role": "tool", "content": "x"}], r"messages\[0\]\.role is 'tool'"),
        ([{"content": "x"}], r"messages\[0\]\.role is None"),
        ([{"role": "user"}], r"messages\[0\]\.content must be text"),
        ([{"role": "user", "content": 7}], r"messages\[0\]\.content must be text"),
        ([{"role": "user", "content": {"type": "text"}}], r"messages\[0\]\.content must be text"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "a part that is not text"),
        ([{"role": "user", "content": "\ud800"}], "half of a surrogate pair"),
        ([{"role": "user", "content": "x"}, {"role": "system", "content": "y"}], "only come first"),
    ],
)
def test_each_mistake_is_named(messages: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        from_openai(messages)


def test_conversations_are_frozen() -> None:
    conversation = Conversation((Message("user", "x"),))
    with pytest.raises(AttributeError):
        conversation.messages = ()  # type: ignore[misc]
