"""Which model runs on which machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assistant.errors import ModelError
from assistant.models.catalogue import entries, find, named
from assistant.models.choice import choose, place
from assistant.models.hardware import Gpu, Hardware, Torch
from assistant.settings import Settings

GB = 10**9
CUDA = Torch("2.13.0", cuda=True, bitsandbytes=True)
LAPTOP = Hardware(cores=8, memory=16 << 30, free_memory=12 << 30)


def with_gpu(free, torch=CUDA, **more):
    return replace(LAPTOP, gpus=(Gpu(0, "NVIDIA Something", free, free, "600.1"),), torch=torch, **more)


@pytest.mark.parametrize(
    ("hardware", "model", "quantization", "device"),
    [
        (with_gpu(80 * GB), "starchat2-15b", "none", "cuda:0"),
        (with_gpu(40 * GB), "starchat2-15b", "none", "cuda:0"),
        (with_gpu(24 * GB), "starchat2-15b", "bnb-8bit", "cuda:0"),
        (with_gpu(16 * GB), "starchat2-15b", "bnb-4bit", "cuda:0"),
        (with_gpu(12 * GB), "starchat2-15b", "bnb-4bit", "cuda:0"),
        (with_gpu(8 * GB), "qwen2.5-coder-1.5b-torch", "none", "cuda:0"),
        (with_gpu(3 * GB), "qwen2.5-coder-1.5b-torch", "bnb-4bit", "cuda:0"),
        (with_gpu(1 * GB), "qwen2.5-coder-1.5b", "none", "cpu"),
        (LAPTOP, "qwen2.5-coder-1.5b", "none", "cpu"),
        (replace(LAPTOP, metal=True), "qwen2.5-coder-1.5b", "none", "auto"),
        (replace(LAPTOP, cores=4, free_memory=8 << 30), "qwen2.5-coder-1.5b", "none", "cpu"),
        (replace(LAPTOP, cores=3), "qwen2.5-coder-0.5b", "none", "cpu"),
        (replace(LAPTOP, free_memory=(8 << 30) - 1), "qwen2.5-coder-0.5b", "none", "cpu"),
    ],
)
def test_the_strongest_model_that_fits_is_chosen(hardware, model, quantization, device):
    chosen = choose(hardware, Settings())
    assert (chosen.entry.name, chosen.quantization, chosen.device) == (model, quantization, device)
    assert chosen.reason


@pytest.mark.parametrize(
    ("hardware", "said"),
    [
        (with_gpu(80 * GB, torch=None), "torch is not installed"),
        (with_gpu(80 * GB, torch=Torch("2.13.0+cpu", cuda=False, bitsandbytes=True)), "built for the CPU only"),
        (replace(LAPTOP, gpu_problem="the NVIDIA driver does not work"), "driver does not work"),
    ],
)
def test_an_unusable_gpu_is_never_passed_over_in_silence(hardware, said):
    chosen = choose(hardware, Settings())
    assert chosen.device == "cpu"
    (warning,) = chosen.warnings
    assert said in warning
    assert "nstall" in warning
    assert choose(hardware, Settings(device="cpu")).warnings == ()
    with pytest.raises(ModelError, match=said):
        choose(hardware, Settings(device="cuda"))


def test_without_bitsandbytes_the_small_model_runs_and_the_remedy_is_named():
    chosen = choose(with_gpu(24 * GB, torch=replace(CUDA, bitsandbytes=False)), Settings())
    assert chosen.entry.name == "qwen2.5-coder-1.5b-torch"
    assert "bitsandbytes" in chosen.warnings[0]
    assert "pip install" in chosen.warnings[0]


def test_settings_come_before_the_hardware():
    hardware = with_gpu(80 * GB)
    assert choose(hardware, Settings(quantization="bnb-4bit")).quantization == "bnb-4bit"
    assert choose(hardware, Settings(device="cpu")).entry.name == "qwen2.5-coder-1.5b"
    assert choose(hardware, Settings(model="StarChat-Beta")).entry.name == "starchat-beta"
    assert choose(LAPTOP, Settings(model="qwen2.5-coder-0.5b")).entry.name == "qwen2.5-coder-0.5b"


def test_a_named_model_that_is_too_large_says_so():
    placed = place(named("starchat"), LAPTOP, Settings())
    assert placed.device == "cpu"
    assert "of memory" in placed.warnings[0]


def test_the_named_gpu_or_the_emptiest_one_is_taken():
    gpus = (Gpu(0, "A", 80 * GB, 5 * GB, "1"), Gpu(1, "B", 80 * GB, 70 * GB, "1"))
    hardware = replace(LAPTOP, gpus=gpus, torch=CUDA)
    assert choose(hardware, Settings()).device == "cuda:1"
    assert choose(hardware, Settings(device="cuda:0")).device == "cuda:0"
    with pytest.raises(ModelError, match="no GPU cuda:2"):
        choose(hardware, Settings(device="cuda:2"))


def test_names_are_found_whatever_their_case_and_misspellings_are_guessed():
    assert find("STARCHAT").name == "starchat2-15b"
    assert find("huggingfaceh4/starchat-alpha").name == "starchat-alpha"
    with pytest.raises(ModelError, match="Did you mean starchat"):
        named("starchatt")


def test_the_catalogue_is_whole():
    names = [name for entry in entries() for name in (entry.name, *entry.aliases)]
    assert len(names) == len(set(names))
    for entry in entries():
        assert entry.download_bytes > 0
        assert entry.template in ("starchat", "chatml", "few-shot")
        assert entry.repo or entry.mirror
        assert entry.format == "gguf" or entry.gpu_bytes
        assert ("OpenRAIL" in entry.licence) == bool(entry.restrictions)
        assert all(len(file.sha256 or "") == 64 for file in entry.files)
