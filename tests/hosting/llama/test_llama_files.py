"""Files that are no models, models that do not fit: refused by name, before anything is loaded."""

import os
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.errors import ModelError, OutOfMemory
from assistant.hosting import llama_engine
from assistant.hosting.llama_gguf import Header, read_header
from assistant.hosting.llama_memory import SHORTEST_CONTEXT, admit
from assistant.models.spec import ModelSpec

HEADER = Header(
    {
        "general.architecture": b"qwen2",
        "qwen2.context_length": 32768,
        "qwen2.block_count": 24,
        "qwen2.embedding_length": 896,
        "qwen2.attention.head_count": 14,
        "qwen2.attention.head_count_kv": 2,
    },
    file_bytes=491_400_064,
)
SPEC = ModelSpec("small", "unused", "gguf")


def string(text):
    return struct.pack("<Q", len(text)) + text


def gguf():
    """The smallest header that means something."""
    entries = [string(key.encode()) + value for key, value in values()]
    return struct.pack("<4sIQQ", b"GGUF", 3, 0, len(entries)) + b"".join(entries)


def values():
    yield "general.architecture", struct.pack("<I", 8) + string(b"tiny")
    yield "tokenizer.ggml.tokens", struct.pack("<IIQ", 9, 8, 2) + string(b"a") + string(b"<b>")
    yield "tokenizer.ggml.token_type", struct.pack("<IIQ2i", 9, 5, 2, 1, 3)
    for key, value in (("context_length", 64), ("embedding_length", 32), ("block_count", 3), ("attention.head_count", 4)):
        yield f"tiny.{key}", struct.pack("<II", 4, value)


def test_a_header_is_read(tmp_path):
    path = tmp_path / "tiny.gguf"
    path.write_bytes(gguf())
    header = read_header(path)
    assert header.metadata["tokenizer.ggml.tokens"] == [b"a", b"<b>"]
    assert header.metadata["tokenizer.ggml.token_type"] == (1, 3)
    assert (header.context_length, header.kv_bytes_per_token) == (64, 3 * 4 * 16 * 2)


@pytest.mark.parametrize("cut", range(len(gguf())))
def test_a_header_cut_anywhere_is_refused(tmp_path, cut):
    path = tmp_path / "cut.gguf"
    path.write_bytes(gguf()[:cut])
    with pytest.raises(ModelError, match=r"cut\.gguf"):
        read_header(path)


@given(st.data())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_damaged_header_is_read_or_refused(tmp_path_factory, data):
    raw = bytearray(gguf())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "damaged.gguf"
    path.write_bytes(raw)
    try:
        read_header(path)
    except ModelError as error:
        assert error.remedy


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match="No such file"):
        llama_engine.open(ModelSpec("gone", tmp_path / "gone.gguf", "gguf"), lambda _: None)


def test_a_truncated_model_says_how_much_is_missing(smollm2, tmp_path):
    path = tmp_path / "half.gguf"
    path.write_bytes(smollm2.path.read_bytes()[:50_000_000])
    with pytest.raises(ModelError, match="48362432 bytes are missing"):
        llama_engine.open(replace(smollm2, path=path), lambda _: None)


def test_loading_is_reported_from_the_beginning_to_the_end(smollm2, tmp_path):
    copy = Path(shutil.copy(smollm2.path, tmp_path))
    with copy.open("rb+") as file:  # a file that lies in memory is not read ahead
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    heard = []
    llama_engine.open(replace(smollm2, path=copy), heard.append).close()
    assert heard == sorted(heard)
    assert 0 < heard[0] < 0.2
    assert heard[-1] == 1.0


def test_the_window_is_the_models_own_where_memory_allows():
    assert admit(HEADER, SPEC, 8 << 30).context_length == 32768


def test_the_window_shrinks_to_the_memory_that_is_free():
    budget = admit(HEADER, SPEC, 900 << 20)
    assert SHORTEST_CONTEXT <= budget.context_length < 32768
    assert budget.context_length * HEADER.kv_bytes_per_token < (900 << 20) - HEADER.file_bytes


@pytest.mark.parametrize(("spec", "free"), [(SPEC, 700 << 20), (replace(SPEC, context_length=32768), 900 << 20)])
def test_what_does_not_fit_is_refused_with_numbers(spec, free):
    with pytest.raises(OutOfMemory, match=r"small needs \d\.\d\d GB of memory for \d+ tokens, and 0\.\d\d GB is free"):
        admit(HEADER, spec, free)
