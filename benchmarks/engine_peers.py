"""Engines that nobody here made, each used as its makers advise; what has to be converted is, once, beside the models."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from assistant.models.spec import ModelSpec
from benchmarks.engine_contestants import Contestant, Folder, Run, Timing, clock, of_engine
from benchmarks.engine_traffic import Task

LOOKUP = "transformers bf16, lookup"


def peers(folder: Folder, gguf: ModelSpec) -> Iterator[Contestant]:
    """Those that can run here."""
    yield Contestant("llama.cpp wheel", lambda: _llama(gguf))
    yield Contestant("transformers bf16", lambda: folder.generate("none", "bfloat16"))
    yield Contestant(LOOKUP, lambda: folder.generate("none", "bfloat16", prompt_lookup_num_tokens=10))
    yield Contestant("bitsandbytes 8-bit", lambda: folder.generate("bnb-8bit", "bfloat16"))
    if importlib.util.find_spec("ctranslate2"):
        yield Contestant("CTranslate2 int8", lambda: _ctranslate2(folder))
    if importlib.util.find_spec("onnxruntime_genai"):
        yield Contestant("onnxruntime-genai int4", lambda: _onnxruntime(folder))


def _llama(spec: ModelSpec) -> Run:
    from assistant.hosting import llama_engine

    return of_engine(llama_engine.open(spec, lambda _: None))


def _ctranslate2(folder: Folder) -> Run:
    import ctranslate2
    from tokenizers import Tokenizer

    where = folder.path.parent / f"ct2-{folder.path.name}"
    if not where.is_dir():
        ctranslate2.converters.TransformersConverter(str(folder.path)).convert(str(where), quantization="int8")
    generator = ctranslate2.Generator(str(where), compute_type="int8", intra_threads=folder.spec.threads)
    names = Tokenizer.from_file(str(folder.path / "tokenizer.json"))

    def run(task: Task) -> Timing:
        prompt = [names.id_to_token(token) for token in task.prompt]
        began, first, ids = clock(), 0.0, []
        steps = generator.generate_tokens(prompt, max_length=task.tokens, sampling_topk=1, end_token=sorted(task.stops) or None)
        for step in steps:
            first = first or clock() - began
            if step.token_id not in task.stops:
                ids.append(step.token_id)
        return Timing(first, clock() - began, tuple(ids))

    return run


def _onnxruntime(folder: Folder) -> Run:
    import onnxruntime_genai

    where = folder.path.parent / f"ortgenai-{folder.path.name}"
    if not where.is_dir():
        _build(folder.path, where)
    config = onnxruntime_genai.Config(str(where))
    threads = {"intra_op_num_threads": folder.spec.threads, "inter_op_num_threads": 1}
    config.overlay(json.dumps({"model": {"decoder": {"session_options": threads}}}))
    model = onnxruntime_genai.Model(config)

    def run(task: Task) -> Timing:
        options = onnxruntime_genai.GeneratorParams(model)
        options.set_search_options(max_length=len(task.prompt) + task.tokens, do_sample=False)
        began, first, ids = clock(), 0.0, []
        generator = onnxruntime_genai.Generator(model, options)
        generator.append_tokens(list(task.prompt))
        while not generator.is_done():
            generator.generate_next_token()
            token = int(generator.get_next_tokens()[0])
            first = first or clock() - began
            if token in task.stops:
                break
            ids.append(token)
        return Timing(first, clock() - began, tuple(ids))

    return run


def _build(source: Path, where: Path) -> None:
    """4 bits in blocks of 32, activations rounded to 8, which is what its makers advise for CPUs."""
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(source), "-o", str(where), "-p", "int4"]
    subprocess.run([*command, "-e", "cpu", "-c", f"{where}-cache", "--extra_options", "int4_accuracy_level=4"], check=True)
