"""A choice does not change because the model that it chose is running."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from assistant.models.catalogue import named
from assistant.models.decision import decide, decide_place
from assistant.models.hardware import Gpu, Hardware, Torch
from assistant.settings import Settings

GB = 10**9
GPU = Gpu(0, "NVIDIA Something", 24 * GB, 24 * GB, "600.1")
MACHINE = Hardware(8, 32 << 30, 24 << 30, (GPU,), torch=Torch("2.13.0", cuda=True, bitsandbytes=True))
BUSY = replace(MACHINE, free_memory=1 << 30, gpus=(replace(GPU, free=2 * GB),))


def test_a_full_gpu_does_not_change_the_choice():
    first = decide(MACHINE, Settings())
    assert (first.entry.name, first.quantization) == ("starchat2-15b", "bnb-8bit")
    assert decide(BUSY, Settings()) == first


def test_a_full_gpu_does_not_change_how_a_named_model_is_held():
    entry = named("starchat-beta")
    first = decide_place(entry, MACHINE, Settings())
    assert decide_place(entry, BUSY, Settings()) == first
    assert first.quantization == "bnb-8bit"


def test_other_settings_or_another_machine_make_a_new_choice():
    decide(MACHINE, Settings())
    assert decide(MACHINE, Settings(device="cpu")).device == "cpu"
    assert decide(replace(MACHINE, gpus=()), Settings()).device == "cpu"


def test_an_old_or_broken_memory_is_no_memory():
    decide(MACHINE, Settings())
    kept = Path(os.environ["STARCHAT_HOME"]) / "choices.json"
    table = json.loads(kept.read_text())
    kept.write_text(json.dumps({key: {**row, "until": row["until"] - 86_400} for key, row in table.items()}))
    assert decide(BUSY, Settings()).entry.name != "starchat2-15b"
    for broken in ("{", "[]", json.dumps(dict.fromkeys(table, 1)), json.dumps({key: {"until": "x"} for key in table})):
        kept.write_text(broken)
        assert decide(MACHINE, Settings()).entry.name == "starchat2-15b"


def test_a_folder_that_cannot_be_written_is_no_hindrance(monkeypatch):
    monkeypatch.setenv("STARCHAT_HOME", "/sys/starchat")
    assert decide(MACHINE, Settings()).entry.name == "starchat2-15b"
