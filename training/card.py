"""The model card: what the model was made from, and under which licences."""

from __future__ import annotations

from collections.abc import Mapping

from training.config import Recipe

# The licences of the bases that the recipes name, with the restrictions that a derived model has to pass on.
_BASES = {
    "bigcode/": (
        "bigcode-openrail-m",
        "The BigCode OpenRAIL-M licence of the base model applies to this model too. Its use restrictions (attachment A of the "
        "licence) bind every user and have to be passed on with the model and with anything derived from it.",
    ),
}

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


def text(recipe: Recipe, notes: tuple[str, ...], licences: Mapping[str, int]) -> str:
    """The card in Markdown with the hub's metadata on top."""
    licence, restrictions = _of_base(recipe.base)
    lines = ["---", f"license: {licence}", "library_name: transformers", "pipeline_tag: text-generation"]
    lines += [f"base_model: {recipe.base}"] if recipe.base and not recipe.base.startswith((".", "/")) else []
    lines += ["---", "", f"# {recipe.name}", "", recipe.about, "", "## Licences", ""]
    lines += [
        f"Base model: {recipe.base or 'none, trained from scratch'}. {restrictions}".rstrip(),
        "",
        "Training dialogues:",
        "",
    ]
    lines += [f"- {name}: {count}" for name, count in sorted(licences.items(), key=lambda one: -one[1])]
    lines += ["", "## Data", "", *(f"- {note}" for note in notes), "", "## Use", ""]
    lines += [f"The chat template is {recipe.template}; a reply ends with its end token, which the configuration names.", ""]
    lines += [
        "The model writes plausible text that can be wrong, and code that can be harmful to run. Read it before you use it.",
        "",
    ]
    return "\n".join(lines)


def _of_base(base: str) -> tuple[str, str]:
    found = next((value for prefix, value in _BASES.items() if base.startswith(prefix)), None)
    return found or ("other", "The licence of the base model applies to this model too." if base else "")
