"""What a finished model answers: opened again from its folder, so that the report shows what a user will see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from assistant.commands import command
from assistant.conversation import start
from assistant.template import encode
from training.config import Recipe
from training.encoding import TEMPLATES, Vocabulary
from training.model import DTYPES

QUESTIONS = ("Write a Python function that adds two numbers.", "How do I read a file in Python?")
# The weights are safe by now, and other ranks wait: an answer that takes longer is cut.
_TOKENS, _SECONDS = 120, 30.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer, most likely token by most likely token.  ended: by an end token of the model's own configuration."""

    question: str
    answer: str
    tokens: int
    ended: bool


@torch.no_grad()
def answers(folder: Path, recipe: Recipe, words: Vocabulary) -> tuple[Sample, ...]:
    """The answers of the model in `folder` to `QUESTIONS`, computed on the CPU; those that its window has room for."""
    from transformers import AutoModelForCausalLM

    factory: Any = AutoModelForCausalLM
    model = factory.from_pretrained(folder, dtype=DTYPES[recipe.dtype]).eval()
    system = command("ask").prompt("system") if recipe.system == "assistant" else ""
    template = TEMPLATES[recipe.template]
    found = []
    for question in QUESTIONS:
        prompt = list(encode(template, start(question, system), words).ids)
        room = min(_TOKENS, getattr(model.config, "max_position_embeddings", recipe.block) - len(prompt))
        if room < 1:
            continue
        said = model.generate(torch.tensor([prompt]), max_new_tokens=room, max_time=_SECONDS, do_sample=False)
        written = said[0, len(prompt) :].tolist()
        ends = model.generation_config.eos_token_id
        ended = bool(written) and written[-1] in (ends if isinstance(ends, list) else [ends])
        answer = words.decode(written[:-1] if ended else written).strip()
        found.append(Sample(question, answer, len(written), ended))
    return tuple(found)
