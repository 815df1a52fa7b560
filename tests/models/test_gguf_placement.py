"""Which engine runs a GGUF model: llama.cpp, unless the torch engine is there and asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assistant.models.catalogue import named
from assistant.models.choice import choose, place
from assistant.models.hardware import Hardware, Torch
from assistant.models.prepare import prepare
from assistant.settings import Settings

LAPTOP = Hardware(cores=8, memory=16 << 30, free_memory=12 << 30, torch=Torch("2.13.0", cuda=False, bitsandbytes=False))
GGUF = named("qwen2.5-coder-0.5b")


@pytest.mark.parametrize("quantization", [None, "auto", "none"])
def test_llama_runs_it_where_nothing_else_is_asked_for(quantization):
    placed = place(GGUF, LAPTOP, Settings(quantization=quantization))
    assert (placed.quantization, placed.device, placed.warnings) == ("none", "cpu", ())
    assert "llama.cpp" in choose(LAPTOP, Settings(quantization=quantization)).reason


@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_the_torch_engine_runs_it_in_few_bits(quantization):
    asked = Settings(quantization=quantization)
    for found in (place(GGUF, LAPTOP, asked), choose(LAPTOP, asked), place(GGUF, replace(LAPTOP, metal=True), asked)):
        assert (found.quantization, found.device, found.warnings) == (quantization, "cpu", ())
        assert "torch engine" in found.reason
    assert place(GGUF, LAPTOP, replace(asked, device="cpu")).device == "cpu"


def test_without_torch_llama_runs_it_and_says_what_is_missing():
    bare = replace(LAPTOP, torch=None)
    for found in (place(GGUF, bare, Settings(quantization="int8")), choose(bare, Settings(quantization="int8"))):
        assert (found.quantization, found.device) == ("none", "cpu")
        assert "pip install 'starchat-assistant[torch]'" in found.warnings[0]


def test_what_is_for_gpus_does_not_apply():
    found = place(GGUF, LAPTOP, Settings(quantization="bnb-8bit"))
    assert found.quantization == "none"
    assert "bnb-8bit does not apply" in found.warnings[0]


def test_what_is_asked_for_and_that_it_takes_a_while_is_said(tmp_path, monkeypatch):
    path = tmp_path / "toy.gguf"
    path.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + bytes(24))
    for torch, quantization, words in (
        (LAPTOP.torch, "int8", "is unpacked for int8 first, once"),
        (None, "none", "needs PyTorch"),
    ):
        monkeypatch.setattr("assistant.models.prepare.probe", lambda torch=torch: replace(LAPTOP, torch=torch))
        said = []
        spec = prepare(Settings(model=str(path), quantization="int8"), lambda _: False, said.append)
        assert (spec.format, spec.quantization, spec.context_length) == ("gguf", quantization, 8192)
        assert any(words in one.text for one in said)
