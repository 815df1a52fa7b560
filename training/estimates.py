"""How many tokens a recipe's data have, before they are read: known for the usual data sets, estimated for files."""

from __future__ import annotations

import gzip
from pathlib import Path

from assistant.commands import command
from assistant.errors import AssistantError
from training import sources
from training.config import Recipe

# Tokens of one epoch.  oasst1_en: 8,372 blocks of 1,024 tokens, as published with StarChat-alpha; the others from their rows
# and mean lengths.
_KNOWN = {
    "HuggingFaceH4/oasst1_en": 8_572_928,
    "HuggingFaceH4/ultrachat_200k": 240_000_000,
    "m-a-p/Code-Feedback": 80_000_000,
}
# Bytes of a JSONL row's text that make a token of a code model's vocabulary, and of a small one trained on the data.
_BYTES_PER_TOKEN, _BYTES_PER_SMALL_TOKEN = 3.3, 2.7
# Role, end and line break of a message.
_AROUND = 4


def tokens_of(recipe: Recipe) -> int | None:
    """Tokens of one epoch; None where a source cannot be judged without reading it."""
    weights = recipe.weights or (1.0,) * len(recipe.data)
    total = 0.0
    for source, weight in zip(recipe.data, weights, strict=True):
        found = _KNOWN.get(source) or _of_files(source, recipe)
        if found is None:
            return None
        total += weight * found
    return round(total) or None


def _of_files(source: str, recipe: Recipe) -> float | None:
    if "/" in source and not Path(source).exists():
        return None
    try:
        lengths = [_length(row, recipe) for row in sources.rows(source, "train")]
    except (AssistantError, gzip.BadGzipFile):
        return None
    limit = recipe.max_dialogues
    share = min(1.0, limit / len(lengths)) if limit and lengths else 1.0
    return share * sum(lengths)


def _length(row: sources.Row, recipe: Recipe) -> float:
    """Tokens of a row, roughly; an exchange that is longer than a block is left out."""
    per_token = _BYTES_PER_SMALL_TOKEN if recipe.vocab else _BYTES_PER_TOKEN
    messages = (row.value or {}).get("messages")
    if not isinstance(messages, list):
        return len(str(row.value)) / per_token
    system = len(command("ask").prompt("system")) / per_token if recipe.system == "assistant" else 0.0
    sizes = [len(str(one.get("content", ""))) / per_token + _AROUND for one in messages if isinstance(one, dict)]
    exchanges = [sum(sizes[start : start + 2]) for start in range(0, len(sizes), 2)]
    kept = sum(size for size in exchanges if size + system <= recipe.block)
    return kept + system if kept else 0.0
