"""The model card: what the model was made from, and under which licences."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from training.config import Recipe
from training.provenance import SECTION, Base

# The same bytes as assistant.template writes, for programs that render a model's own template.
_STARCHAT = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|system|>\\n<|end|>\\n' }}{% endif %}"
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
JINJA = {"starchat": _STARCHAT, "chatml": _CHATML}


def text(recipe: Recipe, notes: tuple[str, ...], licences: Mapping[str, int], base: Base) -> str:
    """The card in Markdown with the hub's metadata on top; it names no path of the machine that it is written on."""
    licence = base.licence if re.fullmatch(r"[\w.-]+", base.licence) else json.dumps(base.licence)
    lines = ["---", f"license: {licence}", *(f"{key}: {json.dumps(value)}" for key, value in base.name_and_link)]
    lines += ["library_name: transformers", "pipeline_tag: text-generation"]
    lines += [f"base_model: {base.ancestor}"] if base.ancestor else []
    lines += ["---", "", f"# {recipe.name}", "", *([recipe.about, ""] if recipe.about else []), SECTION, "", base.sentence, ""]
    lines += ["Training dialogues:", ""]
    lines += [f"- {' '.join(name.split())}: {count}" for name, count in sorted(licences.items(), key=lambda one: -one[1])]
    lines += ["", f"### Of {base.name}", "", *_quoted(base.said)] if base.said else []
    lines += ["", "## Data", "", *(f"- {note}" for note in notes), "", "## Use", ""]
    lines += [f"The chat template is {recipe.template}; a reply ends with its end token, which the configuration names.", ""]
    lines += [
        "The model writes plausible text that can be wrong, and code that can be harmful to run. Read it before you use it.",
        "",
    ]
    return "\n".join(lines)


def _quoted(lines: tuple[str, ...]) -> list[str]:
    """Lines of a card, list items as a list and everything else as paragraphs."""
    found: list[str] = []
    for line in lines:
        found += [line] if line.startswith("- ") and found and found[-1].startswith("- ") else ["", line]
    return found[1:]
