"""Four bits on the CPU: integers of 8 bits that are written in 4, and so what 8 bits are in everything but size."""

import pytest
import torch

from assistant.errors import ModelError
from assistant.hosting.torch_engine import device, kernel
from assistant.hosting.torch_engine.engine import TorchEngine
from assistant.hosting.torch_engine.int4 import BITS, Int4Linear, in_eight_bits, in_torch, joined_int4, of_weight
from assistant.hosting.torch_engine.int8 import Int8Linear, joined_int8
from assistant.hosting.torch_engine.kernel import GROUP
from assistant.hosting.torch_engine.kv import empty
from assistant.hosting.torch_engine.quantization import bytes_of, held
from tests.hosting.torch_streaming import PRODUCTS, loaded, run, spec_of, use_product
from tests.tiny_models import WINDOW, tiny

ARCHITECTURES = ["gpt_bigcode", "starcoder2", "qwen2", "llama"]
PROMPT = [40 + 17 * number % 200 for number in range(30)]


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def numbers(part: Int4Linear) -> torch.Tensor:
    """The weight in floats."""
    eight = in_eight_bits(part)
    return eight.weight.float() * eight.scale[:, None]


@pytest.mark.parametrize("rows", [1, 2, 3, 9, 65])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("product", PRODUCTS)
def test_a_product_is_near_that_of_floats(rows: int, with_bias: bool, product: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_product(product, monkeypatch)
    weight, x = randn(96, 160), randn(rows, 160)
    x[0] *= 1e4  # one token's outliers are its own affair
    bias = randn(96) if with_bias else None
    exact = torch.nn.functional.linear(x, weight, bias)
    error = (joined_int4([of_weight(weight, bias)])(x) - exact).norm(dim=1) / exact.norm(dim=1)
    assert error.max() < 0.12


@pytest.mark.parametrize("shape", [(1, 4), (63, 36), (64, 64), (65, 100), (130, 20), (700, 128), (9, 10), (200, 1000)])
@pytest.mark.parametrize("product", PRODUCTS)
def test_the_product_is_that_of_the_same_numbers_in_eight_bits(
    shape: tuple[int, int], product: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight, x = randn(*shape), randn(14, shape[1])
    x[3], x[4, 0] = 0, 1e20
    parts = [of_weight(weight, weight[:, 0].clone()), of_weight(weight * 3, None)]
    with monkeypatch.context() as patch:
        use_product("plain", patch)
        expected = joined_int8([in_eight_bits(part) for part in parts])(x)
    use_product(product, monkeypatch)
    made, near = joined_int4(parts), 0.02 if product == "fbgemm" else 1e-5  # it rounds a few activations otherwise
    for rows in (1, 2, 3, 6, 7, 14):
        assert torch.allclose(made(x[:rows]), expected[:rows], rtol=near, atol=near * expected[:3].abs().max().item())
    assert all(part.weight.numel() == 0 for part in parts), "they are held once"


def test_a_token_does_not_depend_on_its_neighbours() -> None:
    made, x = joined_int4([of_weight(randn(150, 320), None)]), randn(33, 320)
    alone = torch.cat([made(x[row : row + 1]) for row in range(33)])
    for rows in (2, 3, 6, 8, 33):
        assert torch.equal(made(x[:rows]), alone[:rows]), rows


def test_every_weight_is_near_what_it_was() -> None:
    """Within a little more than half of a fifteenth of its group's range, and what 8 bits cannot tell apart."""
    weight = randn(64, 320)
    weight[3] += 2
    weight[4, 64:96] = 7
    weight[5, 100] = 50
    weight[6] = 0
    weight[7] = -1
    weight[8, 32:] = 0
    groups = weight.view(64, -1, GROUP)
    ranges = groups.amax(-1) - groups.amin(-1)
    grid = weight.abs().amax(-1, keepdim=True) / 127
    error = (numbers(of_weight(weight, None)) - weight).view_as(groups).abs().amax(-1)
    assert (error <= 0.75 * ranges / 15 + 8.5 * grid).all()
    assert ((error - ranges / 30).clamp(min=0) <= grid * 8.5).all()
    assert torch.equal(numbers(of_weight(weight, None))[6], weight[6])
    assert torch.allclose(numbers(of_weight(weight, None))[7], weight[7])


@pytest.mark.parametrize("shape", [(3, 1), (63, 36), (64, 64), (65, 100), (200, 1000)])
def test_the_kernel_rounds_as_torch_does(shape: tuple[int, int]) -> None:
    """But for ties, which they may break otherwise."""
    weight = randn(*shape)
    made = kernel.quarters(weight)
    if made is None:
        pytest.skip("needs Linux on x86-64 with AVX-512 VNNI, and a C compiler")
    for one, other in zip(made, in_torch(weight), strict=True):
        assert one.shape == other.shape
        assert (one != other).float().mean() < 0.003
    assert torch.allclose(made[2], weight.abs().amax(-1) / 127)


def test_rounding_is_better_than_one_scale_a_group() -> None:
    weight = randn(128, 640)
    groups = weight.view(128, -1, GROUP)
    step = groups.abs().amax(-1, keepdim=True) / 7
    plain = ((groups / step).round() * step).view_as(weight)
    assert (numbers(of_weight(weight, None)) - weight).norm() < 0.85 * (plain - weight).norm()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_are_held_in_four_bits_and_the_model_is_near_the_exact_one(architecture: str) -> None:
    exact, four = loaded(tiny(architecture)), loaded(tiny(architecture), "auto", "int4")
    fed = [empty(one.config, WINDOW).feed(one.forward, PROMPT, len(PROMPT)) for one in (exact, four)]
    wanted, found = (torch.log_softmax(logits, -1) for logits in fed)
    assert (wanted.exp() * (wanted - found)).sum(-1).mean() < 0.6, "random weights, which lose most"
    assert isinstance(four.model.get_output_embeddings(), Int8Linear)
    floats = [name for name, value in four.model.named_parameters() if value.dim() == 2 and value.is_floating_point()]
    assert all("embed" in name or "wte" in name or "wpe" in name for name in floats), floats


def test_a_layer_takes_four_and_a_half_bits_a_weight() -> None:
    linear = of_weight(randn(128, 320), None)
    assert (linear.weight.nbytes + linear.steps.nbytes) * 8 == BITS * 128 * 320
    panels = kernel._quarter_panels(linear.weight.data, linear.steps.data)
    assert panels.nbytes * 8 == BITS * 128 * 320
    assert bytes_of({"layers.0.mlp.up_proj.weight": (128, 320)}, "int4", torch.float32) == panels.nbytes


def test_four_bits_go_with_float32_on_a_cpu_alone() -> None:
    with pytest.raises(ModelError, match="int4 computes the rest in float32"):
        device.dtype_of(spec_of(tiny("qwen2"), quantization="int4", dtype="bfloat16"), torch.device("cpu"), 1)
    with pytest.raises(ModelError, match="int4 is made for CPUs") as caught:
        device.dtype_of(spec_of(tiny("qwen2"), quantization="int4"), torch.device("cuda", 0), 1)
    assert "bnb-4bit" in caught.value.remedy


def test_without_the_kernel_the_same_numbers_take_eight_bits_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    use_product("fbgemm", monkeypatch)
    one = loaded.__wrapped__(tiny("qwen2"), "auto", "int4")
    assert TorchEngine(one).info.description == "torch, int4 held in 8 bits, cpu, 1 thread"
    assert held("int4") == "int8"
    assert len(run(TorchEngine(one), PROMPT, 8).ids) == 8
