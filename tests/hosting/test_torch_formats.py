"""A model whose number format was left open, from the measurement to what its host says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from assistant.hosting.torch_engine import formats, layouts
from assistant.hosting.torch_engine.engine import TorchEngine
from assistant.hosting.torch_engine.loading import Loaded, load
from assistant.hosting.torch_engine.memory import RESERVE
from assistant.hosting.torch_engine.quantization import bytes_of
from assistant.hosting.weights import identity
from assistant.models import cpu_speed
from assistant.models.cpu_format import ARCHITECTURES, SMALL
from assistant.models.cpu_speed import FORMATS, CpuSpeed
from tests.hosting.scripted_host import home
from tests.hosting.torch_streaming import spec_of
from tests.tiny_models import tiny

CPU = torch.device("cpu")
LARGE = {"model.layers.0.mlp.up_proj.weight": (4096, SMALL // 4096)}
ASSISTANT = str(Path(sys.executable).with_name("assistant"))


@pytest.fixture
def own_home() -> Iterator[Path]:
    with home() as folder:
        yield folder


def measured(**step: float) -> None:
    """Let it have been measured that these formats take so many milliseconds, and others one."""
    table = {**dict.fromkeys(FORMATS, 1.0), **step}
    cpu_speed.keep(CpuSpeed(cpu_speed.machine(1), table, table))


def settled(tensors: dict[str, tuple[int, ...]], free: int = 1 << 40, architecture: str = "qwen2", **fields: Any) -> Any:
    spec = spec_of(tiny(architecture), **{"quantization": "auto", **fields})
    found, _ = formats.settled(spec, tensors, CPU, 1, free)
    return found.quantization, found.dtype


def test_what_was_left_open_is_settled_by_the_measurement(own_home: Path) -> None:
    measured(int8=0.3)
    assert settled(LARGE) == ("int8", "auto")
    assert settled({"small.weight": (64, 64)}) == ("none", "float32")
    measured(int8=2.0, bfloat16=0.5)
    assert settled(LARGE) == ("none", "bfloat16")
    assert settled(LARGE, free=RESERVE + SMALL + (1 << 20)) == ("int8", "auto"), "bf16 does not fit"


def test_what_was_asked_for_is_not_touched(own_home: Path) -> None:
    measured(int8=0.1)
    assert settled(LARGE, dtype="float32") == ("none", "float32")
    for quantization in ("none", "int8", "int4", "bnb-8bit"):
        assert settled(LARGE, quantization=quantization) == (quantization, "auto")
    spec = spec_of(tiny("qwen2"), quantization="auto")
    for device in ("cuda", "mps"):
        assert formats.settled(spec, LARGE, torch.device(device), 1, 1 << 40) == (replace(spec, quantization="none"), "")


def test_the_architectures_are_those_that_the_engine_computes_itself() -> None:
    assert {kind.config_class.model_type for kind in layouts._LAYOUTS} == ARCHITECTURES


def test_another_architecture_is_not_held_in_8_bits_unasked(own_home: Path, tmp_path: Path) -> None:
    measured(int8=0.1)
    folder = Path(shutil.copytree(tiny("llama"), tmp_path / "other"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "gemma3_text"}))
    spec = spec_of(folder, quantization="auto")
    found, why = formats.settled(spec, LARGE, CPU, 1, 1 << 40)
    assert found.quantization == "none"
    assert "architecture" in why


def test_a_small_model_runs_in_floats_and_says_why(own_home: Path) -> None:
    measured(int8=0.1, bfloat16=3.0)
    loaded = opened(tiny("qwen2"), quantization="auto")
    assert loaded.dtype == torch.float32
    assert TorchEngine(loaded).info.description == "torch, fp32 (small enough to be quick in floats), cpu, 1 thread"


def test_what_is_computed_in_8_bits_is_never_taken_for_floats(own_home: Path) -> None:
    specs = [opened(tiny("qwen2"), **fields).spec for fields in (FLOATS, {"quantization": "int8"}, {"quantization": "int4"})]
    assert len({identity(spec, "torch") for spec in specs}) == 3
    assert "auto" not in {spec.quantization for spec in specs}


def test_an_embedding_of_another_kind_keeps_what_it_does(tmp_path: Path) -> None:
    """Gemma's multiplies what it looks up."""
    folder = Path(shutil.copytree(tiny("llama"), tmp_path / "gemma"))
    sizes = {name: getattr(transformers.AutoConfig.from_pretrained(folder), name) for name in SHARED}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = transformers.Gemma3TextConfig(**sizes, head_dim=32, eos_token_id=0, bos_token_id=0, pad_token_id=None)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    ids = torch.tensor([[5, 9, 30, 31, 77]])
    logits = []
    for fields in (FLOATS, {"quantization": "int8"}):
        with torch.inference_mode():
            logits.append(opened(folder, **fields).model(ids).logits.flatten())
    assert torch.cosine_similarity(*logits, dim=0) > 0.98


def test_the_host_of_a_larger_model_says_that_it_took_int8(own_home: Path, tmp_path: Path) -> None:
    folder = large(tmp_path / "larger")
    measured(int8=0.25)
    environment = {**os.environ, "STARCHAT_HOME": str(own_home), "STARCHAT_THREADS": "1"}

    def shell(*arguments: str) -> str:
        done = subprocess.run([ASSISTANT, *arguments], env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    model = ("-m", str(folder), "--device", "cpu")
    doctor = shell("doctor", *model)
    assert "int8 (measured 4.0 times as quick as fp32); --quantization none insists on floats" in doctor
    shell("ask", *model, "--max-tokens", "4", "Hi")
    assert "int8 (measured 4.0 times as quick as fp32), cpu, 1 thread" in shell("status")
    shell("stop", "--all")
    assert "number format" not in shell("doctor", *model, "--dtype", "bfloat16")


FLOATS = {"dtype": "float32"}
SHARED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
)


def opened(folder: Path, **fields: Any) -> Loaded:
    return load(spec_of(folder, **fields), lambda _fraction: None)


def large(folder: Path) -> Path:
    """An untrained model whose weights take 80 MB in bfloat16."""
    shutil.copytree(tiny("llama"), folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    config.hidden_size, config.intermediate_size, config.num_hidden_layers, config.head_dim = 512, 4352, 6, 128
    with torch.random.fork_rng():
        torch.manual_seed(5)
        transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    return folder


def test_embeddings_and_heads_are_counted_as_they_are_held():
    body, embedding, head = {"model.layers.0.mlp.up_proj.weight": (64, 32)}, {"model.embed_tokens.weight": (100, 32)}, (100, 32)
    for shapes in (body | embedding, body | embedding | {"lm_head.weight": head}):
        assert bytes_of(shapes, "int8", torch.float32) == 64 * 32 + 3 * 100 * 32
    assert bytes_of(body | embedding, "bnb-8bit", torch.bfloat16) == 64 * 32 + 2 * 100 * 32
    assert bytes_of(body | embedding, "none", torch.float32) == 4 * (64 * 32 + 100 * 32)
