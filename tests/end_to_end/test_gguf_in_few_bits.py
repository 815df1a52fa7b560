"""A real GGUF model in 8 bits of our own, from the shell: unpacked once, asked twice, and removed with its model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from assistant.hosting import llama_engine
from assistant.hosting.llama_gguf import read_header
from assistant.hosting.llama_vocabulary import read_vocabulary
from assistant.hosting.torch_engine.gguf_tokenizer import tokenizer_json
from assistant.hosting.torch_engine.tokenizer import FolderTokenizer
from assistant.models.prepare import prepare
from assistant.settings import Settings
from tests.hosting.scripted_host import home

ASSISTANT = str(Path(sys.executable).with_name("assistant"))
MODEL = ("-m", "smollm2-135m", "-y")
INT8 = ("--quantization", "int8")
TEXTS = (
    "def total(items):\n    return sum(x * 2026 for x in items)  # 1234567 of 10.5\n",
    "\t\tfor (let i = 0; i < 10; i++) { console.log(`${i}`); }\r\n\r\n   <|im_end|> and  <|endoftext|>",
    "It's a café: naïve, Grüße aus Köln, 你好 🙂, здравствуй; we'll see, they've 3rd  places.",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment with a home and a cache of its own, in which SmolLM2 lies as it was downloaded."""
    spec = prepare(Settings(model="smollm2-135m"), consent=lambda _: True, report=lambda _: None)
    cache = tmp_path_factory.mktemp("cache")
    folder = cache / "models" / "smollm2-135m"
    folder.mkdir(parents=True)
    (folder / spec.path.name).symlink_to(spec.path)
    shutil.copy(spec.path.with_name("receipt.json"), folder)
    with home() as own:
        yield {**os.environ, "STARCHAT_HOME": str(own), "STARCHAT_CACHE": str(cache), "STARCHAT_THREADS": "1"}


def test_a_gguf_model_answers_in_8_bits_and_is_unpacked_once(world: dict[str, str]) -> None:
    first = shell(world, "ask", *MODEL, *INT8, "--max-tokens", "12", "What is the capital of France?")
    assert "Paris" in first.stdout
    assert "is unpacked for int8 first, once" in first.stderr
    assert engine(world) == "torch, int8, cpu, 1 thread"
    (folder,) = (Path(world["STARCHAT_CACHE"]) / "converted").glob("*-int8-*")
    made = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    shell(world, "stop", "--all")

    again = shell(world, "ask", *MODEL, *INT8, "--max-tokens", "12", "What is the capital of France?")
    assert again.stdout == first.stdout
    assert "unpacked" not in again.stderr
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == made
    shell(world, "stop", "--all")

    assert str(folder) in shell(world, "doctor", "-m", "smollm2-135m").stdout
    assert "freed" in shell(world, "models", "remove", "smollm2-135m").stdout
    assert not folder.exists()


def test_text_is_cut_into_the_same_tokens_by_both_engines(tmp_path: Path) -> None:
    spec = prepare(Settings(model="smollm2-135m", threads=1), consent=lambda _: True, report=lambda _: None)
    metadata = read_header(spec.path).metadata
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(spec.path, metadata, read_vocabulary(metadata, spec.name)))
    ours = FolderTokenizer(tmp_path)
    llama = llama_engine.open(replace(spec, context_length=256), lambda _: None)
    try:
        for text in TEXTS:
            assert ours.encode(text) == llama.tokenizer.encode(text)
            assert ours.decode(ours.encode(text)) == text
        for name in ("<|im_start|>", "<|im_end|>", "<|endoftext|>"):
            assert ours.control_id(name) == llama.tokenizer.control_id(name) is not None
    finally:
        llama.close()


def engine(world: dict[str, str]) -> str:
    (host,) = json.loads(shell(world, "status", "--json").stdout)["hosts"]
    return str(host["engine"])


def shell(world: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [ASSISTANT, *arguments], env=world, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
