"""The forward pass of our own against that of transformers, in every shape that it takes, and what is left to transformers."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import transformers

from assistant.hosting.torch_engine.kv import empty
from assistant.hosting.torch_engine.layouts import forward_of
from assistant.hosting.torch_engine.network import Forward, Network, Transformers
from tests.hosting.torch_shapes import BIGCODE, ENDS, IDS, SHAPES, SIZES, WINDOW, model_of
from tests.hosting.torch_streaming import PRODUCTS, engine, loaded, run, use_product
from tests.tiny_models import tiny

ARCHITECTURES = ["gpt_bigcode", "starcoder2", "qwen2", "llama"]

LEFT_TO_TRANSFORMERS = {
    "GPTBigCode, many heads of keys": transformers.GPTBigCodeConfig(**BIGCODE, multi_query=False),
    "Llama, angles by length": transformers.LlamaConfig(
        **SIZES, rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    ),
    "GPT-2": transformers.GPT2Config(**ENDS, n_positions=WINDOW, n_embd=64, n_layer=2, n_head=4),
}


def pieces(forward: Forward, config: transformers.PreTrainedConfig, sizes: Sequence[int]) -> torch.Tensor:
    """Logits of every row, with the tokens fed in pieces of the given sizes."""
    kv, rows, place = empty(config, WINDOW), [], 0
    for size in sizes:
        rows.append(kv.feed(forward, IDS[place : place + size], size))
        place += size
    return torch.cat(rows)


@pytest.mark.parametrize("name", SHAPES)
def test_logits_are_those_of_transformers(name: str) -> None:
    model = model_of(SHAPES[name])
    with torch.inference_mode():
        wanted = model(input_ids=torch.tensor([IDS[:200]])).logits[0]
    forward = forward_of(model)
    assert isinstance(forward, Network)
    for sizes in ([200], [64, 64, 72], [130, 9, 1, 1, 17, 1, 41], [1] * 20 + [180]):
        assert (pieces(forward, model.config, sizes) - wanted).abs().max() < 2e-3 * wanted.abs().max(), sizes
    with torch.inference_mode():
        again = model(input_ids=torch.tensor([IDS[:200]])).logits[0]
    assert torch.allclose(again, wanted, atol=1e-4), "the model's own modules no longer compute what they did"


@pytest.mark.parametrize("name", ["StarChat", "Starcoder2", "Qwen2, last layers slide, tied", "Llama", *LEFT_TO_TRANSFORMERS])
def test_greedy_tokens_are_those_of_generate(name: str) -> None:
    model = model_of((SHAPES | LEFT_TO_TRANSFORMERS)[name])
    prompt = torch.tensor([IDS[:50]])
    config = transformers.GenerationConfig(do_sample=False, max_new_tokens=30, pad_token_id=0, eos_token_id=-1)
    wanted = model.generate(prompt, attention_mask=torch.ones_like(prompt), generation_config=config)[0, 50:].tolist()
    forward, kv, found = forward_of(model), empty(model.config, WINDOW), []
    fed = IDS[:50]
    while len(found) < 30:
        found.append(int(kv.feed(forward, fed).argmax()))
        fed = found[-1:]
    assert found == wanted
    assert len(set(found)) > 3, "a model that repeats itself proves nothing"


@pytest.mark.parametrize("name", LEFT_TO_TRANSFORMERS)
def test_what_is_not_known_is_left_to_transformers(name: str) -> None:
    assert isinstance(forward_of(model_of(LEFT_TO_TRANSFORMERS[name])), Transformers)


@pytest.mark.parametrize("name", ["StarChat", "Qwen2", "GPT-2"])
def test_only_the_rows_asked_for_come_back(name: str) -> None:
    model = model_of((SHAPES | LEFT_TO_TRANSFORMERS)[name])
    forward = forward_of(model)
    whole = pieces(forward, model.config, [40])
    for rows in (0, 1, 7, 40):
        kv = empty(model.config, WINDOW)
        found = kv.feed(forward, IDS[:40], rows)
        assert found.shape == (rows, 97)
        assert torch.allclose(found, whole[40 - rows :], atol=1e-4)
        assert torch.allclose(kv.feed(forward, IDS[40:41]), pieces(forward, model.config, [40, 1])[-1:], atol=1e-4)


def test_joined_weights_are_held_once() -> None:
    model = model_of(SHAPES["Qwen2"])
    forward_of(model)
    layer = model.model.layers[0]
    attention, mlp = layer.self_attn, layer.mlp
    for group in ((attention.q_proj, attention.k_proj, attention.v_proj), (mlp.gate_proj, mlp.up_proj)):
        for one, following in itertools.pairwise(group):
            assert following.weight.data_ptr() == one.weight.data_ptr() + one.weight.nbytes


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    ("quantization", "product"), [*(("int8", product) for product in PRODUCTS), ("int4", "compiled"), ("int4", "fbgemm")]
)
def test_rows_in_integers_are_those_of_single_steps_to_the_last_bit(
    architecture: str, quantization: str, product: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drafts of all lengths, past the sliding window and past the place where the cache grows."""
    use_product(product, monkeypatch)
    one = loaded.__wrapped__(tiny(architecture), "auto", quantization)
    assert isinstance(one.forward, Network)
    sizes = (9, 17, 33, 65, 9, 2, 33)
    kv, alone = empty(one.config, 512), empty(one.config, 512)
    for cache in (kv, alone):
        cache.feed(one.forward, IDS[:100])
    place = 100
    for size in sizes:
        together = kv.feed(one.forward, IDS[place : place + size], size)
        singly = torch.cat([alone.feed(one.forward, [token]) for token in IDS[place : place + size]])
        assert torch.equal(together, singly), (place, size)
        place += size


def test_every_architecture_of_ours_is_known(tmp_path: Path) -> None:
    for architecture in ARCHITECTURES:
        for quantization in ("none", "int8", "int4"):
            assert isinstance(loaded(tiny(architecture), "float32", quantization).forward, Network)
    reply = run(engine(tiny("llama")), IDS[:20], 5)
    assert len(reply.ids) == 5
