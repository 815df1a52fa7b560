"""In which number format a CPU holds a model that the user left open."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from assistant.models import cpu_format, cpu_speed
from assistant.models.catalogue import named
from assistant.models.choice import choose, place
from assistant.models.cpu_format import SMALL, WORTH, expected, quickest
from assistant.models.cpu_speed import FORMATS, CpuSpeed
from assistant.models.hardware import Hardware
from assistant.models.overview import row_of
from assistant.models.prepare import prepare
from assistant.settings import Settings

LAPTOP = Hardware(cores=8, memory=16 << 30, free_memory=12 << 30)
STARCHAT = named("starchat-beta")

times = st.fixed_dictionaries({name: st.floats(0.01, 100) for name in FORMATS})
bytes_held = st.fixed_dictionaries(
    {"float32": st.integers(1, 1 << 36), "bfloat16": st.integers(1, 1 << 36)}, optional={"int8": st.integers(1, 1 << 36)}
)


def speed(**step: float) -> CpuSpeed:
    table = {**dict.fromkeys(FORMATS, 1.0), **step}
    return CpuSpeed("this one", table, table)


@given(times, times, bytes_held, st.integers(0, 1 << 37))
def test_what_fits_comes_first_and_then_what_is_quickest(step, batch, sizes, free):
    measured = CpuSpeed("any", step, batch)
    found = quickest(measured, sizes, free)
    assert found.name in sizes
    assert found.why
    fitting = {name for name, size in sizes.items() if size <= free}
    if not fitting:
        assert sizes[found.name] == min(sizes.values())
        return
    assert found.name in fitting
    floats = fitting - {"int8"}
    if not floats:
        return
    best = min(map(measured.reply, floats))
    worth = WORTH * best / measured.reply("int8")
    assume(abs(worth - 1) > 1e-9)
    if "int8" in fitting and sizes["bfloat16"] > SMALL and worth > 1:
        assert found.name == "int8"
    else:
        assert found.name in floats and measured.reply(found.name) == best


def test_a_small_model_stays_in_floats_however_quick_int8_is():
    sizes = {"float32": 2 * SMALL, "bfloat16": SMALL, "int8": SMALL // 2}
    assert quickest(speed(int8=0.01, bfloat16=0.5), sizes, 1 << 40).name == "bfloat16"
    assert quickest(speed(int8=0.01), {name: size * 2 for name, size in sizes.items()}, 1 << 40).name == "int8"


def test_four_bits_are_never_taken_unasked():
    sizes = {"float32": 4 << 30, "bfloat16": 2 << 30, "int8": 1 << 30}
    assert quickest(speed(int4=0.001), sizes, 1 << 40).name != "int4"


def test_the_reason_has_the_figure():
    sizes = {"float32": 4 << 30, "bfloat16": 2 << 30, "int8": 1 << 30}
    assert str(quickest(speed(int8=0.25, float32=2.0), sizes, 1 << 40)) == "int8 (measured 4.0 times as quick as bf16)"
    assert str(quickest(speed(), sizes, 1 << 40)).startswith("fp32 (")
    assert "memory" in quickest(speed(int8=9.0), sizes, 3 << 29).why


@pytest.mark.parametrize(
    ("settings", "held"),
    [
        ({}, "auto"),
        ({"quantization": "auto"}, "auto"),
        ({"dtype": "auto"}, "auto"),
        ({"quantization": "none"}, "none"),
        ({"dtype": "float32"}, "none"),
        ({"dtype": "bfloat16", "quantization": "auto"}, "none"),
        ({"quantization": "int8"}, "int8"),
        ({"quantization": "int4"}, "int4"),
        ({"quantization": "bnb-8bit", "dtype": "bfloat16"}, "bnb-8bit"),
    ],
)
def test_what_the_user_asks_for_wins(settings, held):
    for entry in (STARCHAT, named("qwen2.5-coder-1.5b-torch")):
        assert place(entry, LAPTOP, Settings(device="cpu", **settings)).quantization == held
        assert choose(LAPTOP, Settings(model=entry.name, **settings)).quantization == held


def test_a_choice_that_is_kept_for_one_number_format_is_not_taken_for_another(tmp_path):
    folder = model_folder(tmp_path / "m", "llama")
    held = [prepared(folder, dtype=dtype).quantization for dtype in (None, "float32", None, "auto")]
    assert held == ["auto", "none", "auto", "auto"]


def test_memory_for_a_named_model_is_that_of_8_bits():
    roomy = replace(LAPTOP, free_memory=20 << 30)
    assert place(STARCHAT, roomy, Settings()).warnings == ()
    assert "of memory" in place(STARCHAT, roomy, Settings(dtype="bfloat16")).warnings[0]


def test_what_is_to_be_expected_is_known_once_it_was_measured():
    parameters = 1_500_000_000
    assert expected(parameters, None, LAPTOP) is None
    cpu_speed.keep(replace(speed(int8=0.2), machine=cpu_speed.machine(7)))
    assert expected(parameters, None, LAPTOP).name == "int8"
    assert expected(parameters, 3, LAPTOP) is None, "it was measured with seven threads"
    assert expected(parameters, None, LAPTOP, known=False).name == "float32"
    assert expected(1000, None, LAPTOP).name == "float32"


def test_models_show_says_in_what_a_model_would_run(monkeypatch):
    monkeypatch.setattr("assistant.models.overview.probe", lambda: replace(LAPTOP, free_memory=22 << 30))
    assert row_of("starchat-beta").fits == "no"
    cpu_speed.keep(replace(speed(int8=0.2), machine=cpu_speed.machine(7)))
    assert row_of("starchat-beta").fits == "on the CPU, int8"


def model_folder(path: Path, architecture: str) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"model_type": architecture}))
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    return path


def prepared(folder: Path, **settings):
    return prepare(Settings(model=str(folder), device="cpu", **settings), lambda _: False, lambda _: None)


def test_the_probe_is_kept_privately_and_named_by_its_threads():
    cpu_speed.keep(speed())
    kept = Path(os.environ["STARCHAT_HOME"]) / "cpu-speed.json"
    assert kept.is_file()
    assert cpu_format.shown("bfloat16") == "bf16"
