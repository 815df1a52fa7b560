"""How many tokens a recipe's data have, before they are read: known for the usual data sets, estimated for files."""

from __future__ import annotations

import gzip
from pathlib import Path

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
# Bytes of a JSONL row's text that make a token of a code model's vocabulary; a small vocabulary needs more tokens.
_BYTES_PER_TOKEN = 3.3


def tokens_of(recipe: Recipe) -> int | None:
    """Tokens of one epoch; None where a source cannot be judged without reading it."""
    weights = recipe.weights or (1.0,) * len(recipe.data)
    total = 0.0
    for source, weight in zip(recipe.data, weights, strict=True):
        found = _KNOWN.get(source) or _of_files(source, recipe.max_dialogues)
        if found is None:
            return None
        total += weight * found
    return round(total) or None


def _of_files(source: str, limit: int) -> float | None:
    if "/" in source and not Path(source).exists():
        return None
    try:
        lengths = [_length(row) for row in sources.rows(source, "train")]
    except (AssistantError, gzip.BadGzipFile):
        return None
    share = min(1.0, limit / len(lengths)) if limit and lengths else 1.0
    return share * sum(lengths) / _BYTES_PER_TOKEN


def _length(row: sources.Row) -> int:
    """Characters of a row's text, roughly."""
    messages = (row.value or {}).get("messages")
    if isinstance(messages, list):
        return sum(len(str(one.get("content", ""))) for one in messages if isinstance(one, dict))
    return len(str(row.value))
