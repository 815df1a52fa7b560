"""Text to ids and back: exact for every text, and no text becomes a control token."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.conversation import ROLES, Conversation, Message
from assistant.errors import ModelError
from assistant.hosting import llama_engine
from assistant.hosting.llama_vocabulary import Vocabulary, spellings, unmatched
from assistant.models.prepare import prepare
from assistant.settings import Settings
from assistant.template import CHATML, Control, encode, encode_fill
from tests.scale import rounds

pytestmark = pytest.mark.timeout(120)

WORDS = (
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|user|>", "<|end|>", "<file_sep>", "<tool_call>", "<|fim_middle|>"),
    *("<|im_", "start|>", "<", "|>", "im_end", "user\n", "assistant\n", "system", " ", "  ", "\t", "\n", "\r\n", "\r", "\x00"),
    *(
        "\ufeff",
        "🧑‍🚀",
        "é",
        "e\u0301",
        "ﬁ",
        "Å",
        "\u2028",
        "\u200b",
        "\U0010ffff",
        "\ud7ff",
        "▁",
        "Ġ",
        "Ċ",
        "[PAD151665]",
        "x",
        "7",
    ),
)
UNWRITABLE = {0x04, 0x06, 0x13, 0x14, 0x16, 0x1D, 0xF1, 0xF2}  # bytes that SmolLM2 has no token for
HOSTILE = st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=12).map("".join)


@given(HOSTILE)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_every_text_comes_back_exactly_and_holds_no_control_id(llama, text):
    ids = llama.tokenizer.encode(text)
    assert llama.tokenizer.decode(ids) == "".join("\ufffd" if set(one.encode()) & UNWRITABLE else one for one in text)
    assert not set(ids) & set(llama.vocabulary.controls.values())


def test_no_content_in_any_role_forges_a_turn(llama, seed=20):
    print(f"seed {seed}")
    draw = random.Random(seed)
    controls = set(llama.vocabulary.controls.values())
    for _ in range(rounds(100_000) // 4):  # each has four contents
        conversation = hostile_conversation(draw)
        encoded = encode(CHATML, conversation, llama.tokenizer, generate=False)
        own = [segment for segment in CHATML.segments(conversation, generate=False) if isinstance(segment, Control)]
        expected = [llama.tokenizer.control_id(segment.name) for segment in own]
        assert [token for token in encoded.ids if token in controls] == expected
        assert llama.tokenizer.decode(encoded.ids) == as_text(conversation)


def hostile_conversation(draw):
    roles = ("system", "user", "assistant", "user")
    assert set(roles) == set(ROLES)
    return Conversation(tuple(Message(role, "".join(draw.choices(WORDS, k=draw.randint(1, 6)))) for role in roles))


def as_text(conversation):
    return "".join(f"<|im_start|>{message.role}\n{message.content}<|im_end|>\n" for message in conversation.messages)


def test_nothing_is_added_at_the_beginning(llama):
    hello, spaced = llama.tokenizer.encode("hello"), llama.tokenizer.encode(" hello")
    assert len(hello) == len(spaced) == 1
    assert hello != spaced
    assert llama.tokenizer.encode("") == []


def test_a_control_token_is_found_by_its_exact_name_only(llama):
    found = {name: llama.tokenizer.control_id(name) for name in ("<|im_start|>", "<|im_end|>", "<|endoftext|>")}
    assert found == {"<|im_start|>": 1, "<|im_end|>": 2, "<|endoftext|>": 0}
    for name in ("hello", "<|IM_START|>", "<|im_start|> ", "<|im_", "<|user|>", "", "Ġ"):
        assert llama.tokenizer.control_id(name) is None


@pytest.fixture(scope="module")
def retyped(smollm2, tmp_path_factory):
    """SmolLM2 as some converters would have filed it: control tokens as `user defined`, which llama.cpp finds in any text."""
    data = bytearray(smollm2.path.read_bytes())
    key = b"tokenizer.ggml.token_type"
    kinds = data.index(key) + len(key) + 4 + 4 + 8  # after the kinds of value and item, and the count
    for token in range(17):
        assert data[kinds + 4 * token] == 3
        data[kinds + 4 * token] = 4
    path = tmp_path_factory.mktemp("retyped") / "retyped.gguf"
    path.write_bytes(data)
    engine = llama_engine.open(llama_engine.ModelSpec("retyped", path, "gguf", context_length=2048), lambda _: None)
    yield engine
    engine.close()
    path.unlink()


def test_user_defined_control_tokens_are_not_matched_in_text_either(retyped):
    assert set(retyped.server.tokenize("<|im_start|>")) == {1}  # left to itself, llama.cpp would
    for text in ("<|im_start|>", "a<|im_end|><|im_end|>b", "<<|im_start|>|im_start|>", "<|im_<|im_end|>end|>"):
        ids = retyped.tokenizer.encode(text)
        assert retyped.tokenizer.decode(ids) == text
        assert not set(ids) & set(retyped.vocabulary.controls.values())


def test_qwen_too_is_exact():
    spec = prepare(Settings(model="qwen2.5-coder-0.5b", threads=1), consent=lambda _: True, report=lambda _: None)
    engine = llama_engine.open(spec, lambda _: None)
    try:
        draw = random.Random(4)
        for _ in range(300):
            text = "".join((*draw.choices(WORDS, k=6), chr(draw.randrange(0xD800)), chr(draw.randrange(0xE000, 0x110000))))
            ids = engine.tokenizer.encode(text)
            assert engine.tokenizer.decode(ids) == text
            assert not set(ids) & set(engine.vocabulary.controls.values())
        fill = encode_fill("def f(", "):", engine.tokenizer)
        assert fill.ids[0] == engine.tokenizer.control_id("<|fim_prefix|>")
    finally:
        engine.close()


TINY = Vocabulary([b"<a>", "Ā".encode(), "ð".encode()], {0: "<a>"}, {"<a>": 0}, ("<a>",), frozenset())


@given(st.lists(st.sampled_from(["<a>", "<", "a", ">", "x"]), max_size=12).map("".join))
def test_a_name_is_cut_wherever_it_stands_and_nothing_is_lost(text):
    parts = list(unmatched(text, TINY))
    assert "".join(parts) == text
    assert not any("<a>" in part for part in parts)


def test_spellings_are_found_where_there_are_any():
    assert TINY.piece(2) == b"\xf0"
    assert spellings(b"\xf0\xf0", 2, TINY) == (2, 2)
    assert spellings(b"\xf0\xf0", 1, TINY) is None
    assert spellings(b"", 0, TINY) == ()


def test_other_kinds_of_vocabulary_are_refused_by_name():
    with pytest.raises(ModelError, match="phi has a vocabulary that is not byte-level BPE"):
        llama_engine.read_vocabulary({"tokenizer.ggml.model": b"llama"}, "phi")
