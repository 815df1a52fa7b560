"""The one encoder: what it writes, what it marks as trained, and that no text can forge a turn."""

from __future__ import annotations

from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.conversation import Conversation, Message, start
from assistant.errors import ModelError, UsageError
from assistant.few_shot import FewShotTemplate, parse_few_shot
from assistant.hosting.scripted_engine import ByteTokenizer
from assistant.template import CHATML, STARCHAT, encode, encode_fill, recognise

STARCHAT_NAMES = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
CHATML_NAMES = ("<|im_start|>", "<|im_end|>")
TOKENIZERS = {
    "starchat": ByteTokenizer((*STARCHAT_NAMES, "<|endoftext|>")),
    "chatml": ByteTokenizer((*CHATML_NAMES, "<|endoftext|>")),
}
TEMPLATES = {"starchat": STARCHAT, "chatml": CHATML}

hostile = st.lists(
    st.one_of(
        st.sampled_from(
            (*STARCHAT_NAMES, *CHATML_NAMES, "<|endoftext|>", "=== Human\n", "====\n", "\nHuman:", "\n", "</s>", "<fim_middle>")
        ),
        st.text(st.characters(exclude_categories=("Cs",)), max_size=12),
    ),
    max_size=6,
).map("".join)
conversations = st.builds(
    lambda system, turns: Conversation(
        (
            *((Message("system", system),) if system else ()),
            *(Message("user" if number % 2 == 0 else "assistant", text) for number, text in enumerate(turns)),
        )
    ),
    hostile,
    st.lists(hostile, min_size=1, max_size=5),
)


def rendered(conversation: Conversation, name: str) -> str:
    """The published formats, written a second time in the plainest way."""
    if name == "starchat":
        system = f"<|system|>\n{conversation.system}<|end|>\n"
        return system + "".join(f"<|{turn.role}|>\n{turn.content}<|end|>\n" for turn in conversation.turns)
    messages = conversation.messages if conversation.system else conversation.turns
    return "".join(f"<|im_start|>{turn.role}\n{turn.content}<|im_end|>\n" for turn in messages)


def test_starchat_is_byte_exact() -> None:
    tokenizer = TOKENIZERS["starchat"]
    conversation = start("Hi").then("assistant", "Hello").then("user", "Bye")
    text = tokenizer.decode(encode(STARCHAT, conversation, tokenizer).ids)
    assert text == (
        "<|system|>\n<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello<|end|>\n<|user|>\nBye<|end|>\n<|assistant|>"
    )


@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=150, derandomize=True, deadline=None)
@given(conversation=conversations)
def test_text_never_forges_a_turn(name: str, conversation: Conversation) -> None:
    tokenizer = TOKENIZERS[name]
    encoded = encode(TEMPLATES[name], conversation, tokenizer, generate=False)
    assert tokenizer.decode(encoded.ids) == rendered(conversation, name)
    turns = len(conversation.turns) + (1 if conversation.system or name == "starchat" else 0)
    assert sum(token >= 256 for token in encoded.ids) == 2 * turns


@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=150, derandomize=True, deadline=None)
@given(conversation=conversations)
def test_exactly_the_replies_are_trained(name: str, conversation: Conversation) -> None:
    tokenizer = TOKENIZERS[name]
    encoded = encode(TEMPLATES[name], conversation, tokenizer, generate=False)
    end = TEMPLATES[name].end
    opening = "\n" if name == "starchat" else ""
    wanted = "".join(f"{opening}{turn.content}{end}" for turn in conversation.turns if turn.role == "assistant")
    trained = [token for token, kept in zip(encoded.ids, encoded.trained, strict=True) if kept]
    assert tokenizer.decode(trained) == wanted


@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=100, derandomize=True, deadline=None)
@given(conversation=conversations)
def test_generation_continues_what_training_saw(name: str, conversation: Conversation) -> None:
    """The ids that invite a reply are the beginning of the ids of the whole dialogue with any reply."""
    tokenizer = TOKENIZERS[name]
    asked = encode(TEMPLATES[name], conversation, tokenizer).ids
    if conversation.continues_assistant and conversation.messages[-1].content:
        whole = encode(TEMPLATES[name], conversation, tokenizer, generate=False).ids
        assert whole[: len(asked)] == asked
        assert tokenizer.decode(whole[len(asked) :]) == f"{TEMPLATES[name].end}\n"
    elif not conversation.continues_assistant:
        whole = encode(TEMPLATES[name], conversation.then("assistant", "reply"), tokenizer, generate=False).ids
        assert whole[: len(asked)] == asked


@pytest.mark.parametrize(("name", "opening"), [("starchat", "\n"), ("chatml", "")])
def test_what_a_reply_begins_with_is_no_part_of_it(name: str, opening: str) -> None:
    """A reply that comes back as history has the ids with which it was generated."""
    tokenizer, template = TOKENIZERS[name], TEMPLATES[name]
    asked = encode(template, start("Hi"), tokenizer)
    assert asked.opening == opening
    assert encode(template, start("Hi").then("assistant", "He"), tokenizer).opening == ""
    generated = (*asked.ids, *tokenizer.encode(f"{opening}Hello"))
    history = encode(template, start("Hi").then("assistant", "Hello").then("user", "Bye"), tokenizer).ids
    assert history[: len(generated)] == generated


def test_every_end_token_stops() -> None:
    tokenizer = TOKENIZERS["starchat"]
    encoded = encode(STARCHAT, start("Hi"), tokenizer)
    assert encoded.stop_ids == {tokenizer.control_id("<|end|>"), tokenizer.control_id("<|endoftext|>")}
    assert encoded.stop_texts == ()


@settings(max_examples=150, derandomize=True, deadline=None)
@given(conversation=conversations)
def test_plain_text_turns_cannot_be_forged_either(conversation: Conversation) -> None:
    template = FewShotTemplate((start("2 + 2?").then("assistant", "4"),), "Dialogues.")
    tokenizer = ByteTokenizer(())
    encoded = encode(template, conversation, tokenizer)
    bar = encoded.stop_texts[0].strip().split(" ")[0]
    lines = tokenizer.decode(encoded.ids).split("\n")
    titles = [line for line in lines if line.startswith(bar)]
    opened = 0 if conversation.continues_assistant else 1
    assert len(titles) == 2 + len(conversation.messages) + opened
    assert titles[-1] == f"{bar} Assistant"
    assert set(titles) <= {f"{bar} Notes", f"{bar} Human", f"{bar} Assistant"}


def test_the_few_shot_prompt_that_ships_is_one() -> None:
    preface, examples = parse_few_shot(files("assistant.prompts").joinpath("few_shot.md").read_text(encoding="utf-8"))
    assert "StarChat" in preface
    assert len(examples) >= 4
    for example in examples:
        roles = [message.role for message in example.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert all(message.content for message in example.messages)


def test_a_few_shot_file_without_dialogues_is_refused() -> None:
    with pytest.raises(UsageError, match="no dialogue"):
        parse_few_shot("just a text\n-----\nand another\n")


def test_recognition_goes_by_the_vocabulary() -> None:
    assert recognise(TOKENIZERS["starchat"]) is STARCHAT
    assert recognise(TOKENIZERS["chatml"]) is CHATML
    with pytest.raises(ModelError, match="no chat template"):
        recognise(ByteTokenizer(("<|endoftext|>",)))


def test_a_missing_control_token_is_named() -> None:
    with pytest.raises(ModelError, match=r"<\|system\|>"):
        encode(STARCHAT, start("Hi"), TOKENIZERS["chatml"])


@settings(max_examples=100, derandomize=True, deadline=None)
@given(prefix=hostile, suffix=hostile)
def test_fill_in_the_middle_holds_three_control_tokens(prefix: str, suffix: str) -> None:
    names = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<|endoftext|>")
    tokenizer = ByteTokenizer(names)
    encoded = encode_fill(prefix, suffix, tokenizer)
    assert tokenizer.decode(encoded.ids) == f"<fim_prefix>{prefix}<fim_suffix>{suffix}<fim_middle>"
    assert sum(token >= 256 for token in encoded.ids) == 3
    assert tokenizer.control_id("<|endoftext|>") in encoded.stop_ids


def test_fill_in_the_middle_needs_its_tokens() -> None:
    with pytest.raises(UsageError, match="fill-in-the-middle"):
        encode_fill("a", "b", TOKENIZERS["chatml"])
