"""Eight bits on the CPU: near the model they were made of; a token is the same whatever is beside it, as with four bits."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest
import torch

from assistant.errors import ModelError
from assistant.hosting.torch_engine import device, kernel
from assistant.hosting.torch_engine.int8 import Int8Linear, joined_int8, of_weight
from assistant.hosting.torch_engine.kv import empty
from assistant.hosting.torch_engine.probe import speed_of_cpu
from assistant.models import cpu_speed
from tests.hosting.torch_streaming import PRODUCTS, engine, loaded, run, spec_of, use_product
from tests.tiny_models import WINDOW, tiny

ARCHITECTURES = ["gpt_bigcode", "starcoder2", "qwen2", "llama"]
PROMPT = [40 + 17 * number % 200 for number in range(30)]


@pytest.mark.parametrize("rows", [1, 2, 9, 65])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("product", PRODUCTS)
def test_a_product_is_near_that_of_floats(rows: int, with_bias: bool, product: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_product(product, monkeypatch)
    generator = torch.Generator().manual_seed(rows)
    weight, x = torch.randn(96, 160, generator=generator), torch.randn(rows, 160, generator=generator)
    x[0] *= 1e4  # one token's outliers are its own affair
    bias = torch.randn(96, generator=generator) if with_bias else None
    exact = torch.nn.functional.linear(x, weight, bias)
    error = (joined_int8([of_weight(weight, bias)])(x) - exact).norm(dim=1) / exact.norm(dim=1)
    assert error.max() < 0.02


@pytest.mark.parametrize("shape", [(1, 4), (63, 36), (64, 64), (65, 100), (130, 20), (700, 128), (9, 10)])
def test_products_agree_on_any_shape(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(sum(shape))
    weight, x = torch.randn(shape, generator=generator), torch.randn(14, shape[1], generator=generator)
    x[3], x[4, 0] = 0, 1e20
    found = []
    for product in PRODUCTS:
        with monkeypatch.context() as patch:
            use_product(product, patch)
            found.append(joined_int8([of_weight(weight, weight[:, 0]), of_weight(weight * 3, None)])(x))
    for one in found[1:]:
        assert torch.allclose(one, found[0], rtol=0.02, atol=0.02 * found[0][:3].abs().max().item())


def test_the_kernel_is_compiled_once_and_done_without_where_it_cannot_be(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kernel.usable() or shutil.which("cc", path=os.defpath) is None:
        pytest.skip("needs Linux on x86-64 with AVX-512 VNNI, and a C compiler")
    library = kernel.library.__wrapped__
    assert library() is not None
    (path,) = (own_home / "kernels").iterdir()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    before = path.stat().st_mtime_ns
    assert library() is not None
    assert path.stat().st_mtime_ns == before
    monkeypatch.setenv("STARCHAT_HOME", str(own_home / "other"))
    damaged = own_home / "other" / "kernels" / path.name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"no library")
    assert library() is None
    assert not damaged.exists(), "it is compiled again next time"
    monkeypatch.setattr(os, "defpath", str(own_home))
    assert library() is None


def test_a_token_does_not_depend_on_its_neighbours() -> None:
    generator = torch.Generator().manual_seed(1)
    made, x = (
        joined_int8([of_weight(torch.randn(64, 128, generator=generator), None)]),
        torch.randn(33, 128, generator=generator),
    )
    together = made(x)
    assert all(torch.equal(made(x[row : row + 1])[0], together[row]) for row in range(33))


def test_zeros_stay_zeros() -> None:
    made = joined_int8([of_weight(torch.zeros(8, 16), torch.ones(8))])
    assert torch.equal(made(torch.zeros(2, 16)), torch.ones(2, 8))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_are_held_in_eight_bits_and_the_model_is_near_the_exact_one(architecture: str) -> None:
    exact, eight = loaded(tiny(architecture)), loaded(tiny(architecture), "auto", "int8")
    fed = [empty(one.config, WINDOW).feed(one.forward, PROMPT, len(PROMPT)) for one in (exact, eight)]
    wanted, found = (torch.log_softmax(logits, -1) for logits in fed)
    assert (wanted.exp() * (wanted - found)).sum(-1).mean() < 0.05
    floats = [name for name, value in eight.model.named_parameters() if value.dim() == 2 and value.dtype != torch.int8]
    assert all("embed" in name or "wte" in name or "wpe" in name for name in floats), floats
    assert isinstance(eight.model.get_output_embeddings(), Int8Linear)


@pytest.mark.parametrize("quantization", ["int8", "int4"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_drafts_and_chunks_change_no_reply_in_few_bits(architecture: str, quantization: str) -> None:
    expected = run(engine(tiny(architecture), "auto", quantization), PROMPT, 60).ids
    opened = engine(tiny(architecture), "auto", quantization, chunk=7)
    drafted = run(opened, PROMPT, 60, prediction=[*expected[:20], 31, 32, *expected[22:]])
    assert drafted.ids == expected
    assert drafted.finish.usage.accepted > 20


def test_eight_bits_go_with_float32_on_a_cpu_alone() -> None:
    spec = spec_of(tiny("qwen2"), quantization="int8", dtype="bfloat16")
    with pytest.raises(ModelError, match="float32"):
        device.dtype_of(spec, torch.device("cpu"), 1)
    with pytest.raises(ModelError, match="CPU") as caught:
        device.dtype_of(spec_of(tiny("qwen2"), quantization="int8"), torch.device("cuda", 0), 1)
    assert "bnb-8bit" in caught.value.remedy


def test_the_probe_is_made_once_and_kept(own_home: Path) -> None:
    made = speed_of_cpu(1)
    assert cpu_speed.kept(1) == made == speed_of_cpu(1)
    assert cpu_speed.kept(77) is None, "it holds for the number of threads that it was made with"
    assert made.fastest_float in ("float32", "bfloat16")
    assert "int8" in str(made)
    assert "int4" in str(made)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"machine": 1, "step": {}, "batch": {}}', None])
def test_a_damaged_measurement_is_made_again(own_home: Path, content: str | None) -> None:
    made = speed_of_cpu(1)
    path = own_home / "cpu-speed.json"
    if content is None:
        raw = json.loads(path.read_text())
        content = json.dumps({**raw, "step": dict.fromkeys(raw["step"], "quick")})
    path.write_text(content)
    assert cpu_speed.kept(1) is None
    assert speed_of_cpu(1).machine == made.machine
    assert cpu_speed.kept(1) is not None


def test_the_quicker_format_is_taken_unless_another_is_asked_for(own_home: Path) -> None:
    even = dict.fromkeys(cpu_speed.FORMATS, 1.0)
    for quick, slow, chosen in (("bfloat16", "float32", torch.bfloat16), ("float32", "bfloat16", torch.float32)):
        cpu_speed.keep(cpu_speed.CpuSpeed(cpu_speed.machine(1), {**even, slow: 3.0}, {**even, slow: 2.0}))
        assert device.dtype_of(spec_of(tiny("qwen2")), torch.device("cpu"), 1) == chosen, quick
        assert device.dtype_of(spec_of(tiny("qwen2"), dtype="float32"), torch.device("cpu"), 1) == torch.float32
