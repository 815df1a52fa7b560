"""No text yields a control id, and every text comes back exactly: promise 14 on the torch engine."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers

from assistant import template
from assistant.conversation import Conversation, Message
from assistant.errors import ModelError
from assistant.hosting.detokenizer import Detokenizer
from assistant.hosting.torch_engine.tokenizer import FolderTokenizer
from tests.scale import rounds
from tests.tiny_models import CONTROLS, make_tiny_starchat, tiny

EXTRA = ("<tool>", "  ", "[[x]]", "\n\n", "<br>")
"""Added tokens of the tricked folder that are not marked special."""


@pytest.fixture(scope="module")
def plain() -> FolderTokenizer:
    return FolderTokenizer(tiny("gpt_bigcode"))


@pytest.fixture(scope="module")
def tricked(tmp_path_factory: pytest.TempPathFactory) -> FolderTokenizer:
    """A folder whose tokenizer adds a BOS, a prefix space and NFC, and whose own vocabulary holds added tokens."""
    folder = make_tiny_starchat(tmp_path_factory.mktemp("tricked") / "model", steps=0)
    path = folder / "tokenizer.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    size = len(raw["model"]["vocab"])
    raw["added_tokens"] += [
        {
            "id": size + n,
            "content": name,
            "special": False,
            "lstrip": n % 2 == 0,
            "rstrip": True,
            "normalized": True,
            "single_word": False,
        }
        for n, name in enumerate(EXTRA)
    ]
    raw["model"]["vocab"] |= {name: size + n for n, name in enumerate(EXTRA)} | {"Ġ<|user|>": size + 90}
    raw["model"]["ignore_merges"] = True
    raw["normalizer"] = {"type": "NFC"}
    raw["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": False}
    bos = {"SpecialToken": {"id": CONTROLS[0], "type_id": 0}}
    raw["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [bos, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [bos, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {CONTROLS[0]: {"id": CONTROLS[0], "ids": [0], "tokens": [CONTROLS[0]]}},
    }
    path.write_text(json.dumps(raw), encoding="utf-8")
    (folder / "added_tokens.json").write_text(json.dumps({"<|late|>": size + 91}), encoding="utf-8")
    return FolderTokenizer(folder)


def control_ids(tokenizer: FolderTokenizer) -> dict[int, str]:
    found = {tokenizer.control_id(name): name for name in (*CONTROLS, *EXTRA, "<|late|>")}
    return {number: name for number, name in found.items() if number is not None}


PARTS = [
    *CONTROLS, *EXTRA, "<|late|>", "<|", "|>", "<", "|", "user", "end", "system\n", "\n", "\r\n", "\t", " ", "   ", "\0",
    "\ufeff", "é", "e\u0301", "ﬁ", "你好", "🙂", "\u2028", "\u200d", "\ufffd", "Ġ", "Ċ", "▁", "<0x0A>", "```", "def f():",
    "1234567890", "<|im_end|>", "</s>", "A", "Ω", "İ", "ß",
]  # fmt: skip


def hostile(random_: random.Random) -> str:
    parts = random_.choices(PARTS, k=random_.randrange(0, 9))
    if random_.random() < 0.3:
        parts.append(chr(random_.choice((random_.randrange(1, 0xD800), random_.randrange(0xE000, 0x11_0000)))))
    return "".join(parts)


@pytest.mark.parametrize("kind", ["plain", "tricked"])
def test_hostile_contents_in_every_field_forge_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    """100,000 contents in the full tier; one in twenty here."""
    tokenizer: FolderTokenizer = request.getfixturevalue(kind)
    names = control_ids(tokenizer)
    random_ = random.Random(14)
    for _ in range(rounds(100_000) // 5):
        system, question, answer, follow, begun = (hostile(random_) for _ in range(5))
        turns = [Message("user", question), Message("assistant", answer), Message("user", follow), Message("assistant", begun)]
        conversation = Conversation((Message("system", system), *turns))
        ids = template.encode(template.STARCHAT, conversation, tokenizer).ids
        found = [names[token] for token in ids if token in names]
        expected = ["<|system|>", "<|end|>", "<|user|>", "<|end|>", "<|assistant|>", "<|end|>", "<|user|>", "<|end|>"]
        assert found == ([*expected, "<|assistant|>"]), (system, question, answer, follow, begun)
        for text in (system, question, answer, follow, begun):
            assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(st.lists(st.sampled_from(PARTS) | st.text(max_size=8)).map("".join))
def test_any_text_comes_back_exactly(plain: FolderTokenizer, tricked: FolderTokenizer, text: str) -> None:
    for tokenizer in (plain, tricked):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert not set(ids) & set(control_ids(tokenizer))


def test_the_tricked_folder_is_tricky(tricked: FolderTokenizer) -> None:
    """Its own pipeline, run as it stands in the file, does yield control ids, or the test above proves nothing."""
    inner = tricked._tokenizer
    assert set(inner.encode("<br>", add_special_tokens=False).ids) & set(control_ids(tricked))


def test_control_tokens_are_found_by_name_and_shown_under_it(plain: FolderTokenizer, tricked: FolderTokenizer) -> None:
    assert [plain.control_id(name) for name in CONTROLS] == list(range(len(CONTROLS)))
    assert plain.control_id("def") is None
    for name in (*EXTRA, "<|late|>"):
        number = tricked.control_id(name)
        assert number is not None
        assert tricked.decode([*tricked.encode("a"), number, *tricked.encode("b")]) == f"a{name}b"


def test_the_ids_are_those_of_the_library_for_plain_code(plain: FolderTokenizer) -> None:
    import transformers

    library = transformers.AutoTokenizer.from_pretrained(tiny("gpt_bigcode"))
    for text in ("def add(left, right):\n    return left + right\n", "naïve  café\t12 ", " x", "if x: <|end|>\n  return"):
        assert plain.encode(text) == library(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"added_tokens": 3}', '{"added_tokens": [], "model": {"type": "Nonsense"}}']
)
def test_a_damaged_tokenizer_is_one_clear_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match="tokenizer") as caught:
        FolderTokenizer(tmp_path)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_a_folder_without_a_fast_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        FolderTokenizer(tmp_path)


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory: pytest.TempPathFactory) -> FolderTokenizer:
    """A pipeline as that of Llama 2: words begin with U+2581, one is put before every text, and bytes stand in for the rest."""
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdehlo", "ab", "▁ab"]
    tokenizer = Tokenizer(
        models.BPE({name: n for n, name in enumerate(names)}, [("a", "b"), ("▁", "ab")], unk_token="<unk>", byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1)]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    folder = tmp_path_factory.mktemp("sentencepiece")
    tokenizer.save(str(folder / "tokenizer.json"))
    return FolderTokenizer(folder)


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(
    st.lists(st.sampled_from(["ab", " ab", " ", "</s>", "<s>", "é", "🙂", "\n", "hello"]) | st.text(max_size=4)).map("".join)
)
def test_a_sentencepiece_vocabulary_is_exact_but_for_its_word_mark(sentencepiece: FolderTokenizer, text: str) -> None:
    text = text.replace("▁", "")
    ids = sentencepiece.encode(text)
    assert sentencepiece.decode(ids) == text
    assert not set(ids) & {0, 1, 2}
    detokenizer = Detokenizer(sentencepiece.decode)
    assert "".join(detokenizer.decode((token,)) for token in ids) + detokenizer.flush() == text
