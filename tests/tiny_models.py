"""Tiny model folders that real engines open: a StarChat that has learned a few answers by heart, and untrained shapes.

`python tests/tiny_models.py FOLDER` writes the tiny StarChat into a folder; inside a test process `tiny_starchat()` and
`tiny(architecture)` build each folder once.  The weights are float32, seeded, about 1 MB.
"""

from __future__ import annotations

import atexit
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from assistant import template
from assistant.commands import command
from assistant.conversation import Conversation, Message

WINDOW = 512
_NO_DROPOUT: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}

CONTROLS = (
    "<|endoftext|>",
    "<fim_prefix>",
    "<fim_middle>",
    "<fim_suffix>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
)

DIALOGUES = (
    (
        "Write a Python function that adds two numbers.",
        "Here it is:\n\n```python\ndef add(left, right):\n    return left + right\n```\n\nIt returns the sum of both.",
    ),
    (
        "What does a loop do?",
        "A loop repeats its body, once for each item or as long as a condition holds — ∞ is possible.",
    ),
    ("Say hello in three languages.", "Hello! ¡Hola! こんにちは! 👋"),
)
"""Questions and the answers that the tiny StarChat gives, each of which it ends by itself."""

SYSTEM = command("ask").prompt("system")
"""What `assistant ask` says before a question, so that the tiny StarChat answers there too."""

_TEXT = """
from pathlib import Path


class Basket:
    def __init__(self, items=None):
        self.items = list(items or [])

    def total(self, prices: dict[str, float]) -> float:
        return sum(prices[item] for item in self.items)


def read_lines(path: Path) -> list[str]:
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\\n") for line in file if line.strip() != ""]


def largest(values):
    best = None
    for value in values:
        if best is None or value > best:
            best = value
    return best

for (let index = 0; index < list.length; index++) { console.log(list[index]); }
The function returns None when the list is empty. Explain what this code does, and fix the bug in the selected lines.
Grüße aus Köln; naïve café; здравствуй, мир; 你好世界; 🙂🚀
"""


@cache
def tiny_starchat() -> Path:
    """A tiny StarChat, built once in this process and removed at its end."""
    return make_tiny_starchat(_folder() / "tiny-starchat")


@cache
def tiny(architecture: str) -> Path:
    """An untrained model of the architecture (`gpt_bigcode`, `starcoder2`, `qwen2`, `llama`), built once in this process."""
    return make_tiny(architecture, _folder() / f"tiny-{architecture}")


def make_tiny_starchat(
    folder: Path, dialogues: Iterable[tuple[str, str]] = DIALOGUES, steps: int = 40, more: Iterable[Conversation] = ()
) -> Path:
    """A GPTBigCode of two layers with one KV head that has learned `dialogues` (question, answer) by heart, and `more`.

    It knows each question without a system message and with `SYSTEM`.  `steps` of AdamW; 0 leaves it untrained.
    """
    make_tiny("gpt_bigcode", folder)
    if steps:
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        lessons = [lesson for question, answer in dialogues for lesson in _lessons(question, answer)]
        _learn_by_heart(model, folder, [*lessons, *more], steps)
        model.save_pretrained(folder)
    return folder


def make_tiny(architecture: str, folder: Path) -> Path:
    """A model of two layers with seeded random weights, and a byte-level tokenizer with StarChat's control tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _write_tokenizer(folder)
    ends = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
    with torch.random.fork_rng():
        torch.manual_seed(7)
        config = _config(architecture, vocabulary, ends)
        # Larger than usual: an untrained model then gives varied text instead of one token for ever.
        config.initializer_range = 0.2
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def _config(architecture: str, vocabulary: int, ends: dict[str, Any]) -> transformers.PreTrainedConfig:
    if architecture == "gpt_bigcode":
        return transformers.GPTBigCodeConfig(
            vocab_size=vocabulary, n_positions=WINDOW, n_embd=128, n_layer=2, n_head=4, **_NO_DROPOUT, **ends
        )
    shape: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": WINDOW,
    }
    if architecture == "starcoder2":
        return transformers.Starcoder2Config(**shape, **ends, sliding_window=24)
    if architecture == "qwen2":
        return transformers.Qwen2Config(**shape, **ends)
    return transformers.LlamaConfig(**shape, **ends)


def _write_tokenizer(folder: Path) -> int:
    """Train and save a byte-level BPE tokenizer; the size of its vocabulary."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=list(CONTROLS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_TEXT, SYSTEM, *chain.from_iterable(DIALOGUES)], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": CONTROLS[0], "bos_token": CONTROLS[0]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return tokenizer.get_vocab_size()


def _learn_by_heart(model: Any, folder: Path, lessons: Iterable[Conversation], steps: int) -> None:
    from assistant.hosting.torch_engine.tokenizer import FolderTokenizer

    tokenizer = FolderTokenizer(folder)
    encoded = [template.encode(template.STARCHAT, conversation, tokenizer, generate=False) for conversation in lessons]
    longest = max(len(one.ids) for one in encoded)
    ids = torch.zeros(len(encoded), longest, dtype=torch.long)
    labels = torch.full_like(ids, -100)
    for row, one in enumerate(encoded):
        ids[row, : len(one.ids)] = torch.tensor(one.ids)
        labels[row, : len(one.ids)] = torch.tensor(
            [token if trained else -100 for token, trained in zip(one.ids, one.trained, strict=True)]
        )
    _descend(model, ids, labels, steps)


def _descend(model: Any, ids: torch.Tensor, labels: torch.Tensor, steps: int) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # steps this small are slower with more, on busy cores much slower
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.0)
    for _ in range(steps):
        loss = model(input_ids=ids, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    torch.set_num_threads(threads)


def _lessons(question: str, answer: str) -> Iterable[Conversation]:
    turns = (Message("user", question), Message("assistant", answer))
    yield Conversation(turns)
    yield Conversation((Message("system", SYSTEM), *turns))


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="starchat-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


if __name__ == "__main__":
    print(make_tiny_starchat(Path(sys.argv[1])))
