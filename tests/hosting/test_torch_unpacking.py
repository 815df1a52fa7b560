"""GGUF files through the torch engine: unpacked exactly, once, whole or not at all, and only where nothing is lost."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from assistant.errors import ModelError, OutOfMemory, StorageError
from assistant.hosting.opening import open_engine
from assistant.hosting.torch_engine import memory, unpacking
from assistant.hosting.torch_engine.kv import empty
from assistant.hosting.torch_engine.loading import Loaded, load
from assistant.models import conversions
from assistant.models.spec import ModelSpec
from assistant.places import places
from tests.hosting.gguf_files import ARCHITECTURES, write_gguf
from tests.hosting.torch_streaming import spec_of
from tests.tiny_models import tiny

TEXT = "def total(items):\n    return sum(x * 2026 for x in items)  # Grüße, 你好 🙂 1234567\n\n\tif a != b:\r\n"
IDS = (5, 9, 30, 31, 77, 8, 400, 12)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STARCHAT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "converted"


def spec(path: Path, quantization: str = "int8") -> ModelSpec:
    return spec_of(path, name=path.stem, format="gguf", quantization=quantization)


def unpacked(given: ModelSpec, seen: list[float] | None = None) -> Path:
    return unpacking.folder_for(given, seen.append if seen is not None else lambda _: None)


def opened(folder: Path, quantization: str) -> Loaded:
    return load(spec_of(folder, quantization=quantization), lambda _: None)


def halved(architecture: str, folder: Path) -> Path:
    """A tiny model in bfloat16, which is what a GGUF is unpacked to."""
    shutil.copytree(tiny(architecture), folder)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("quantization", conversions.KINDS)
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_what_was_unpacked_is_the_model(architecture: str, quantization: str, tmp_path: Path) -> None:
    folder = halved(architecture, tmp_path / "folder")
    file = write_gguf(folder, tmp_path / f"{architecture}.gguf")
    of_gguf, of_folder = opened(unpacked(spec(file, quantization)), quantization), opened(folder, quantization)
    with torch.inference_mode():
        assert torch.equal(*(logits(loaded) for loaded in (of_gguf, of_folder)))
    assert of_gguf.end_ids == {0}
    ids = of_folder.tokenizer.encode(TEXT)
    assert of_gguf.tokenizer.encode(TEXT) == ids
    assert of_gguf.tokenizer.decode(ids) == TEXT
    assert of_gguf.tokenizer.control_id("<|end|>") == of_folder.tokenizer.control_id("<|end|>")


def logits(loaded: Loaded) -> torch.Tensor:
    return empty(loaded.config, 64).feed(loaded.forward, IDS, len(IDS))


def test_it_is_kept_privately_and_unpacked_once(tmp_path: Path, cache: Path) -> None:
    file = write_gguf(tiny("qwen2"), tmp_path / "words.gguf")
    seen: list[float] = []
    folder = unpacked(spec(file), seen)
    assert folder.parent == cache
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(seen) > 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in (cache, folder)} == {0o700}
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    seen.clear()
    assert unpacked(spec(file), seen) == folder
    assert not seen
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert [one.folder for one in conversions.kept()] == [folder]
    assert [(one.kind, one.what) for one in places() if one.path == folder] == [
        ("models", "words in int8, unpacked for the torch engine")
    ]


def test_another_file_or_format_is_another_conversion(tmp_path: Path) -> None:
    file = write_gguf(tiny("qwen2"), tmp_path / "words.gguf")
    eight, four = unpacked(spec(file)), unpacked(spec(file, "int4"))
    assert eight != four
    write_gguf(tiny("llama"), file)
    again = unpacked(spec(file))
    assert again not in (eight, four)
    assert not eight.exists(), "what was made of the file that lay there before is of no more use"


@pytest.mark.parametrize("harm", ["cut", "flipped", "lost", "origin", "unfinished"])
def test_a_damaged_conversion_is_made_anew(harm: str, tmp_path: Path) -> None:
    given = spec(write_gguf(tiny("qwen2"), tmp_path / "words.gguf"))
    folder = unpacked(given)
    weights, whole = folder / "model.safetensors", (folder / "model.safetensors").read_bytes()
    if harm == "cut":
        weights.write_bytes(whole[:-1])
    elif harm == "flipped":
        weights.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    elif harm == "lost":
        (folder / "tokenizer.json").unlink()
    elif harm == "origin":
        (folder / "origin.json").write_text("{")
    else:
        folder.rename(folder.with_name(f".{folder.name}.part"))
        (folder.with_name(f".{folder.name}.part") / "model.safetensors").write_bytes(whole[:100])
    assert conversions.found(given) is None
    assert unpacked(given) == folder
    assert weights.read_bytes() == whole
    assert conversions.unfinished() == ()


def test_a_copy_with_other_times_is_hashed_and_believed(tmp_path: Path) -> None:
    given = spec(write_gguf(tiny("qwen2"), tmp_path / "words.gguf"))
    folder = unpacked(given)
    os.utime(folder / "model.safetensors", (1, 1))
    assert conversions.found(given) is not None


@pytest.mark.parametrize(
    ("more", "split", "words"),
    [
        ({"expert_count": 8}, "starcoder", "made of experts"),
        ({"rope.scaling.type": "yarn"}, "starcoder", "stretches its window"),
        ({}, "a-new-way", "splits text in a way"),
    ],
)
def test_what_would_be_lost_is_refused(more: dict[str, Any], split: str, words: str, tmp_path: Path, cache: Path) -> None:
    file = write_gguf(tiny("qwen2"), tmp_path / "words.gguf", split, **more)
    with pytest.raises(ModelError, match=words) as caught:
        unpacked(spec(file))
    assert "Leave --quantization out" in caught.value.remedy
    assert list(cache.glob("*")) == []


def test_an_architecture_that_is_not_known_is_refused(tmp_path: Path) -> None:
    file = write_gguf(tiny("qwen2"), tmp_path / "words.gguf")
    file.write_bytes(file.read_bytes().replace(b"qwen2", b"qwenX"))
    with pytest.raises(ModelError, match="architecture qwenX"):
        unpacked(spec(file))


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    file = write_gguf(tiny("qwen2"), tmp_path / "words.gguf")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match="truncated"):
        unpacked(spec(file))


def test_too_little_memory_is_told_with_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_gguf(tiny("qwen2"), tmp_path / "words.gguf")
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 1 << 20)
    with pytest.raises(OutOfMemory, match=r"Unpacking words needs .* MB of memory and 1 MB are free"):
        unpacked(spec(file))


def test_too_little_space_is_told_before_anything_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_gguf(tiny("qwen2"), tmp_path / "words.gguf")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    seen: list[float] = []
    with pytest.raises(StorageError, match=r"only 1\.0 MB are free") as caught:
        unpacked(spec(file), seen)
    assert "STARCHAT_CACHE" in caught.value.remedy
    assert not seen


@pytest.mark.skipif(sys.platform == "win32", reason="sets a limit on the size of files")
def test_a_disk_that_fills_up_meanwhile_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    file = write_gguf(tiny("qwen2"), tmp_path / "words.gguf")
    program = """
import resource, sys
from pathlib import Path
from assistant.errors import StorageError
from assistant.hosting import torch_engine
from assistant.models.spec import ModelSpec
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
spec = ModelSpec("words", Path(sys.argv[1]), "gguf", quantization="int8", device="cpu", threads=1)
try:
    torch_engine.open(spec, lambda _: None)
except StorageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-P", "-c", program, str(file)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "is full" in done.stdout
    assert "What was begun is removed again" in done.stdout
    assert "STARCHAT_CACHE" in done.stdout
    assert [path.name for path in cache.iterdir()] == []


def test_the_package_that_reads_gguf_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = spec(write_gguf(tiny("qwen2"), tmp_path / "words.gguf"))
    monkeypatch.setattr(unpacking.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match="needs the package gguf") as caught:
        unpacked(given)
    assert "pip install 'starchat-assistant[torch]'" in caught.value.remedy
    monkeypatch.undo()


def test_a_file_in_floats_or_as_it_is_goes_to_llama(tmp_path: Path, cache: Path) -> None:
    given = spec(write_gguf(tiny("qwen2"), tmp_path / "words.gguf"), "none")
    engine = open_engine(replace(given, context_length=256), lambda _: None)
    assert engine.info.description.startswith("llama.cpp")
    engine.close()
    assert not cache.exists()


def test_removing_a_model_removes_what_was_made_of_it(tmp_path: Path) -> None:
    given = spec(write_gguf(tiny("qwen2"), tmp_path / "words.gguf"))
    folder = unpacked(given)
    assert conversions.remove("another", tmp_path / "elsewhere") == 0
    assert folder.is_dir()
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert conversions.remove("another", tmp_path) == size
    assert conversions.kept() == conversions.unfinished() == ()
