"""Opening folders: progress, refusals before anything is read, and nothing of a model ever executed."""

import json
import math
import os
import pickle
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from assistant.errors import ModelError, OutOfMemory
from assistant.hosting import torch_engine
from assistant.hosting.torch_engine import device, memory
from assistant.hosting.torch_engine.engine import TorchEngine
from assistant.hosting.torch_engine.loading import load
from tests.hosting.torch_streaming import engine, run, spec_of
from tests.tiny_models import tiny


def opened(folder: Path, **fields: Any) -> Any:
    # By `load`, since `open` forbids the whole process to reach the hub, which other tests in it may want.
    return TorchEngine(load(spec_of(folder, **fields), lambda _fraction: None))


def test_progress_grows_from_nothing_to_all() -> None:
    seen: list[float] = []
    load(spec_of(tiny("llama"), dtype="float32"), seen.append)
    assert seen[0] == 0.0
    assert seen[-1] == 1.0
    assert seen == sorted(seen)
    assert len(seen) > 10


def test_a_host_that_loads_and_answers_prints_nothing(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from assistant.hosting import torch_engine
from assistant.hosting.engine import EngineRequest
from assistant.models.spec import ModelSpec
spec = ModelSpec("tiny", Path(sys.argv[1]), "safetensors", quantization="bnb-8bit", device="cpu", threads=1)
engine = torch_engine.open(spec, lambda fraction: None)
items = list(engine.stream(EngineRequest((30, 31, 32), 4, frozenset()), lambda: False))
assert items[-1].usage.completion == 4
"""
    environment = {**os.environ, "STARCHAT_HOME": str(tmp_path)}
    command = [sys.executable, "-P", "-c", program, str(tiny("gpt_bigcode"))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc and glibc")
def test_what_loading_took_is_given_back_to_the_system() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    memory.give_back()
    before = resident()
    blocks = [bytes([1]) * (64 << 10) for _ in range(2000)]  # 128 MB in pieces that come from the heap
    keep = blocks[-1]
    del blocks
    memory.give_back()
    assert resident() - before < 64 << 20
    assert keep


def test_end_ids_come_from_both_configurations(tmp_path: Path) -> None:
    folder = copied("gpt_bigcode", tmp_path)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 0, 3]}), encoding="utf-8")
    assert opened(folder).info.end_ids == {0, 3, 7}


def test_a_sliding_window_is_mentioned() -> None:
    assert "sliding window 24" in opened(tiny("starcoder2")).info.description


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        ({"device": "abacus"}, "auto, cpu, cuda"),
        ({"dtype": "float7"}, "bfloat16"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(fields: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ModelError) as caught:
        opened(tiny("gpt_bigcode"), **fields)
    assert remedy in caught.value.remedy


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_refused_with_a_remedy(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        device.choose(name)
    assert "--device cpu" in caught.value.remedy


def test_missing_packages_are_named_with_the_command_that_installs_them(tmp_path: Path) -> None:
    """In an interpreter that sees the project and the base packages alone."""
    program = """
import sys
from importlib.abc import MetaPathFinder
sys.path.insert(0, sys.argv[1])
from assistant.hosting import torch_engine
from assistant.models.spec import ModelSpec
from pathlib import Path
for quantization in ("none", "bnb-8bit"):
    try:
        torch_engine.open(ModelSpec("m", Path("m"), "safetensors", quantization=quantization), print)
    except Exception as error:
        print(type(error).__name__, error)
"""
    root = Path(torch_engine.__file__).parents[3]
    command = [sys.executable, "-S", "-P", "-c", program, str(with_only("platformdirs", tmp_path, root))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    first, second = done.stdout.splitlines()
    assert first == (
        "ModelError m needs torch and transformers and accelerate, which are not installed. "
        "Run: pip install 'starchat-assistant[torch]'"
    )
    assert "bitsandbytes" in second
    assert "starchat-assistant[gpu]" in second


def with_only(package: str, folder: Path, root: Path) -> Path:
    """A folder on which to put the import path, so that only `assistant` and one package are found."""
    import importlib.util

    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    (folder / package).symlink_to(Path(found.origin).parent)
    (folder / "assistant").symlink_to(root / "assistant")
    return folder


def test_the_arithmetic_of_starchat() -> None:
    """20,480 bytes of KV cache a token in bf16 (one KV head of 128 in 40 layers); 31 GB of weights, 16 GB in 8-bit."""
    bigcode = transformers.GPTBigCodeConfig(n_embd=6144, n_head=48, n_layer=40, multi_query=True)
    assert memory.kv_bytes_per_token(bigcode, torch.bfloat16) == 20_480
    starcoder2 = transformers.Starcoder2Config(
        hidden_size=6144, num_attention_heads=48, num_key_value_heads=4, num_hidden_layers=40
    )
    assert memory.kv_bytes_per_token(starcoder2, torch.bfloat16) == 81_920


def giant(folder: Path, gigabytes: int) -> Path:
    """A folder that claims a huge weight, in a file with a hole instead of it."""
    shutil.copytree(tiny("gpt_bigcode"), folder)
    rows = gigabytes * 10**9 // 2 // 4096
    header = json.dumps(
        {"transformer.h.0.mlp.c_fc.weight": {"dtype": "BF16", "shape": [rows, 4096], "data_offsets": [0, rows * 8192]}}
    )
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header.encode())
        file.truncate(8 + len(header) + rows * 8192)
    return folder


def test_a_model_that_cannot_fit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    free = memory.free_bytes(torch.device("cpu"))
    size = math.ceil(free / 1e9 * 1.2)
    with pytest.raises(OutOfMemory, match=r"needs .* GB of memory and .* are free") as caught:
        opened(giant(tmp_path / "giant", size))
    assert caught.value.remedy == "Use --quantization int8."
    with pytest.raises(OutOfMemory) as caught:
        opened(giant(tmp_path / "monster", size * 9), quantization="bnb-4bit")
    assert "smaller model" in caught.value.remedy


def test_running_out_of_memory_is_one_error_with_numbers() -> None:
    with (
        pytest.raises(OutOfMemory, match=r"A request ran out of memory; 3\.0 GB were free before"),
        memory.told_as_out_of_memory("A request", 3 * 10**9),
    ):
        torch.empty(1 << 48, dtype=torch.float32)
    with pytest.raises(RuntimeError, match="another"), memory.told_as_out_of_memory("A request", 1):
        raise RuntimeError("another trouble")


def copied(architecture: str, folder: Path) -> Path:
    return Path(shutil.copytree(tiny(architecture), folder / "model"))


class Bomb:
    """What a pickle of it runs when it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.trace,)


def with_code(folder: Path, trace: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "evil.py").write_text(f"open({str(trace)!r}, 'w')", encoding="utf-8")


def with_unknown_architecture(folder: Path, trace: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "evil", "architectures": ["Evil"]}', encoding="utf-8")


def with_pickled_weights(folder: Path, trace: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(trace)))


def with_a_pickle_named_safetensors(folder: Path, trace: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb(trace)))


def with_truncated_weights(folder: Path, trace: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) * 2 // 3])


def with_missing_tensors(folder: Path, trace: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "n_layer": 3}), encoding="utf-8")


def with_another_shape(folder: Path, trace: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "n_embd": 64}), encoding="utf-8")


def without_a_configuration(folder: Path, trace: Path) -> None:
    (folder / "config.json").unlink()


def with_a_kernel_from_the_network(folder: Path, trace: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "attn_implementation": "evil/kernel"}), encoding="utf-8")


def with_a_nonsense_number(folder: Path, trace: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "n_head": "many"}), encoding="utf-8")


POISONS = [
    with_code, with_unknown_architecture, with_pickled_weights, with_a_pickle_named_safetensors, with_truncated_weights,
    with_missing_tensors, with_another_shape, without_a_configuration, with_a_kernel_from_the_network, with_a_nonsense_number,
]  # fmt: skip


@pytest.mark.parametrize("poison", POISONS, ids=lambda poison: poison.__name__)
def test_a_poisoned_folder_is_one_clear_line_and_nothing_runs(tmp_path: Path, poison: Callable[[Path, Path], None]) -> None:
    folder, trace = copied("gpt_bigcode", tmp_path), tmp_path / "executed"
    poison(folder, trace)
    with pytest.raises(ModelError) as caught:
        opened(folder)
    assert not trace.exists()
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_a_template_in_the_folder_is_never_rendered(tmp_path: Path) -> None:
    folder = copied("gpt_bigcode", tmp_path)
    (folder / "chat_template.jinja").write_text("{{ raise_exception('rendered') }}", encoding="utf-8")
    assert run(opened(folder), range(30, 40), 3).finish.reason == "length"


def test_a_pickle_beside_the_weights_is_never_opened(tmp_path: Path) -> None:
    folder, trace = copied("gpt_bigcode", tmp_path), tmp_path / "executed"
    (folder / "training_args.bin").write_bytes(pickle.dumps(Bomb(trace)))
    opened(folder).close()
    assert not trace.exists()


def test_weights_that_lie_there_twice_count_once(tmp_path: Path) -> None:
    folder = copied("gpt_bigcode", tmp_path)
    once = memory.shapes(folder)
    (giant(tmp_path / "giant", 9000) / "model.safetensors").rename(folder / "consolidated.safetensors")
    assert memory.shapes(folder) == once


def test_a_model_in_several_files_is_loaded_and_measured_whole(tmp_path: Path) -> None:
    folder = copied("gpt_bigcode", tmp_path)
    once = memory.shapes(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="200KB")
    assert len(list(folder.glob("*.safetensors"))) > 3
    assert memory.shapes(folder) == once
    assert run(opened(folder, dtype="float32"), range(30, 40), 8).ids == run(engine(tiny("gpt_bigcode")), range(30, 40), 8).ids
