"""A layer in the kernel against the same layer in torch, in every shape that a decoder of ours may have."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers
from transformers import Cache

from assistant.hosting.torch_engine import int4, int8, kernel
from assistant.hosting.torch_engine.kv import BucketLayer, empty
from assistant.hosting.torch_engine.layouts import forward_of
from assistant.hosting.torch_engine.network import Network
from tests.hosting.torch_shapes import IDS, SHAPES, SIZES, WINDOW, model_of
from tests.hosting.torch_streaming import THREADS

PIECES = ((0, 1), (1, 9), (10, 1), (11, 64), (75, 17), *((place, 1) for place in range(92, 140)))


def in_integers(config: Any, bits: int) -> Network:
    """A model whose layers are the kernel's; its embedding stays."""
    torch.set_num_threads(THREADS)
    if not kernel.available():
        pytest.skip("needs Linux on x86-64 with AVX-512 VNNI, and a C compiler")
    model = model_of(config)
    rounded = {4: int4.of_weight, 8: int8.of_weight}[bits]
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and module is not model.get_output_embeddings():
            model.set_submodule(name, rounded(module.weight.data, module.bias))
    head = model.get_output_embeddings()
    model.set_output_embeddings(int8.of_weight(head.weight.data.clone(), head.bias))
    forward = forward_of(model)
    assert isinstance(forward, Network)
    return forward


def one_layer(network: Network, number: int, x: torch.Tensor, *, in_kernel: bool) -> Network:
    """A network of one layer, to which `x` comes and whose outcome is what comes back."""
    block = network.blocks[number]
    block = block if in_kernel else replace(block, kernel=None)
    return replace(network, blocks=(block,), embed=lambda *_: x.clone(), norm=lambda y: y, head=lambda y: y, end=None)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("bits", [4, 8])
def test_a_layer_is_what_torch_makes_of_it(name: str, bits: int) -> None:
    """From the same tokens before; in a few rows a number may lie so near to a half that it is rounded the other way."""
    forward = in_integers(SHAPES[name], bits)
    errors = []
    for seed, (past, count, rows) in enumerate(((0, 1, 1), (0, 30, 30), (3, 17, 17), (70, 1, 1), (250, 20, 5), (333, 64, 64))):
        generator = torch.Generator().manual_seed(seed)
        before = torch.randn((2, 1, forward.heads.shared, past, forward.heads.size), generator=generator)
        x = torch.randn((count, 64), generator=generator)
        for number in range(len(forward.blocks)):
            found, wanted = (
                one_layer(forward, number, x, in_kernel=in_kernel)(torch.tensor(IDS[:count]), cache_of(before), rows)
                for in_kernel in (True, False)
            )
            assert found.shape == (rows, 64)
            errors += ((found - wanted).norm(dim=1) / wanted.norm(dim=1)).tolist()
    assert sum(error < 1e-5 for error in errors) > 0.9 * len(errors)
    assert max(errors) < 0.1


def cache_of(before: torch.Tensor) -> Cache:
    """A layer's cache that holds the given keys and values `[2, 1, heads, tokens, size]`."""
    layer = BucketLayer(WINDOW)
    if before.shape[-2]:
        layer.update(before[0], before[1])
    return Cache(layers=[layer])


def test_the_end_of_a_network_is_what_torch_makes_of_it() -> None:
    for name in ("StarChat", "Qwen2"):
        forward = in_integers(SHAPES[name], 8)
        assert forward.end
        x = torch.randn((40, 64), generator=torch.Generator().manual_seed(1))
        found, wanted = forward.end(x), forward.head(forward.norm(x))
        assert ((found - wanted).norm(dim=1) < 1e-5 * wanted.norm(dim=1)).sum() > 36


def test_what_the_kernel_does_not_know_stays_with_torch() -> None:
    config = transformers.LlamaConfig(**{**SIZES, "hidden_act": "relu"})
    forward = in_integers(config, 8)
    assert all(block.kernel is None for block in forward.blocks)
    assert forward.end
    kv = empty(config, WINDOW)
    assert kv.feed(forward, IDS[:40], 40).shape == (40, 97)


@pytest.mark.parametrize("name", ["StarChat", "Starcoder2", "Qwen2"])
@pytest.mark.parametrize("bits", [4, 8])
def test_however_many_threads_the_numbers_are_the_same(name: str, bits: int) -> None:
    forward = in_integers(SHAPES[name], bits)
    library = kernel.library()
    assert library
    found = []
    try:
        for threads in (1, 2, 5):
            library.use_threads(threads)
            kv = empty(SHAPES[name], WINDOW)
            found.append(torch.cat([kv.feed(forward, IDS[place : place + size], size) for place, size in PIECES]))
    finally:
        library.use_threads(1)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_extremes_are_no_trouble() -> None:
    """Activations so large that an exponential would overflow, and zeros."""
    forward = in_integers(SHAPES["Qwen2"], 8)
    x = torch.zeros(3, 64)
    x[1], x[2, 5] = 1e4, -1e30
    for number in range(len(forward.blocks)):
        nothing = torch.zeros(2, 1, forward.heads.shared, 0, forward.heads.size)
        found = one_layer(forward, number, x, in_kernel=True)(torch.tensor([1, 2, 3]), cache_of(nothing), 3)
        assert torch.isfinite(found).all()
