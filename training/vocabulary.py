"""The tokenizer of a run: the base model's with the template's control tokens added, or one trained on the dialogues."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from assistant.errors import ModelError, UsageError
from training.config import Recipe
from training.dataset import Corpus
from training.encoding import TEMPLATES, Vocabulary, control_names
from training.reasons import brief

END_OF_TEXT = "<|endoftext|>"
FILE = "tokenizer.json"

# The embedding gets a multiple of this many rows, for matrix kernels are fastest on such shapes.
ROW_MULTIPLE = 64


def obtain(recipe: Recipe, corpus: Corpus) -> Tokenizer:
    """The run's tokenizer, with every control token of its template.

    Raises:
        ModelError: the base model has no tokenizer that can be had.
    """
    if not recipe.base:
        texts = (turn.content for dialogue in corpus.train for turn in dialogue.conversation.messages)
        return _trained(texts, recipe)
    tokenizer = _of_base(recipe)
    known = Vocabulary(tokenizer)
    missing = [name for name in (END_OF_TEXT, *control_names(TEMPLATES[recipe.template])) if known.control_id(name) is None]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in missing])
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write `tokenizer.json` to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    # Written by Python, a full disk is an OSError; the Rust library raises plain Exception.
    (folder / FILE).write_text(tokenizer.to_str(pretty=True), encoding="utf-8")


def load(folder: Path) -> Tokenizer:
    """What `save` wrote."""
    return Tokenizer.from_file(str(folder / FILE))


def rows(vocabulary: Vocabulary) -> int:
    """Rows of the embedding: the vocabulary's size, rounded up."""
    return -(-len(vocabulary) // ROW_MULTIPLE) * ROW_MULTIPLE


def _trained(texts: Iterable[str], recipe: Recipe) -> Tokenizer:
    """A byte-level BPE: every text can be encoded, and decoding gives it back exactly."""
    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    controls = [END_OF_TEXT, *control_names(TEMPLATES[recipe.template])]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if recipe.vocab < len(alphabet) + len(controls):
        raise UsageError(f"vocab={recipe.vocab} is too small.", f"It must be at least {len(alphabet) + len(controls)}.")
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocab, special_tokens=controls, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return Tokenizer.from_str(tokenizer.to_str())


def _of_base(recipe: Recipe) -> Tokenizer:
    path = Path(recipe.base)
    try:
        if path.is_dir():
            return load(path)
        from huggingface_hub import hf_hub_download

        return Tokenizer.from_file(hf_hub_download(recipe.base, FILE, revision=recipe.revision))
    except Exception as error:
        # The tokenizers library raises bare exceptions, the hub many kinds.
        raise ModelError(
            f"The tokenizer of {recipe.base} cannot be had: {brief(error)}.",
            "Check the name, the network and, for gated models, `hf auth login`; or name a local folder.",
        ) from error
