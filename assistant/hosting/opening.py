"""From a spec to a loaded engine and the template that it is spoken to with."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from assistant.errors import ModelError
from assistant.few_shot import FewShotTemplate, parse_few_shot
from assistant.hosting.engine import Engine
from assistant.models import conversions
from assistant.models.spec import ModelSpec
from assistant.template import CHATML, STARCHAT, Template, Tokenizer, recognise


def open_engine(spec: ModelSpec, report: Callable[[float], None]) -> Engine:
    """Load the model; `report` hears the fraction that is done, from 0 to 1, now and then.

    Raises:
        ModelError: the files are missing, damaged or of a kind that cannot run here.
        OutOfMemory: the weights do not fit.
    """
    if spec.format == "scripted":
        from assistant.hosting import scripted_engine

        return scripted_engine.open(spec, report)
    if spec.format == "gguf" and spec.quantization not in conversions.KINDS:
        from assistant.hosting import llama_engine

        return llama_engine.open(spec, report)
    try:
        from assistant.hosting import torch_engine
    except ImportError as error:
        raise ModelError(
            f"{spec.name} needs PyTorch, which cannot be imported: {error}.",
            'Install it: pip install "starchat-assistant[torch]".',
        ) from error
    return torch_engine.open(spec, report)


def template_of(spec: ModelSpec, tokenizer: Tokenizer) -> Template:
    """The template that the spec names, or the one that the vocabulary shows.

    Raises:
        ModelError: the vocabulary fits no template, or the few-shot file cannot be read.
    """
    if spec.template == "few-shot":
        return _few_shot(spec)
    known = {template.name: template for template in (STARCHAT, CHATML)}
    return known.get(spec.template) or recognise(tokenizer)


def _few_shot(spec: ModelSpec) -> Template:
    try:
        if spec.few_shot is not None:
            text = spec.few_shot.read_text(encoding="utf-8")
        else:
            text = files("assistant").joinpath("prompts", "few_shot.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"The few-shot prompt cannot be read: {error}.", "Give the path of a UTF-8 text file.") from error
    preface, examples = parse_few_shot(text)
    return FewShotTemplate(examples, preface)
