"""Where GPTBigCode, Starcoder2, Qwen2 and Llama keep what a `Network` is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear
from transformers import (
    GPTBigCodeForCausalLM,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2ForCausalLM,
    Starcoder2ForCausalLM,
)

from assistant.hosting.torch_engine import pages
from assistant.hosting.torch_engine.attention import Heads
from assistant.hosting.torch_engine.int4 import Int4Linear, joined_int4
from assistant.hosting.torch_engine.int8 import Int8Linear, joined_int8
from assistant.hosting.torch_engine.network import Angles, Block, Forward, Network, Transformers
from assistant.hosting.torch_engine.parts import LayerNorm, Map, Perceptron, RootMeanSquare

# Angles that depend on the length of the text are left to transformers.
_STEADY_ANGLES = {"default", "linear", "llama3", "yarn"}


def forward_of(model: PreTrainedModel) -> Forward:
    """The forward pass of our own where the architecture is known, else that of transformers.

    Weights that are read by one product are laid side by side; the model's own modules then hold views of them, but for those
    in 8 or 4 bits, which are packed and gone from the model: its own `forward` works no longer.
    """
    with torch.no_grad(), pages.large():
        network = _LAYOUTS.get(type(model), lambda _: None)(model)
    return network.with_kernel() if network else Transformers(model)


def _gpt_bigcode(model: Any) -> Network | None:  # noqa: ANN401 - transformers' attributes are found out at run time
    body, config = model.transformer, model.config
    if not config.multi_query or config.add_cross_attention:
        return None
    first = body.h[0].attn
    blocks = tuple(
        Block(
            _norm(block.ln_1),
            _joined([block.attn.c_attn]),
            _joined([block.attn.c_proj]),
            _norm(block.ln_2),
            _mlp(block.mlp, config.activation_function),
            None,
        )
        for block in body.h
    )
    heads = Heads(first.num_heads, 1, first.head_dim, first.scaling)
    norm, head = _norm(body.ln_f), _joined([model.lm_head])
    alone = isinstance(model.lm_head, Int8Linear | Int4Linear)
    return Network(_with_positions(body), None, blocks, norm, head, heads, model.device, alone)


def _rotary(model: Any) -> Network | None:  # noqa: ANN401 - transformers' attributes are found out at run time
    body, config = model.model, model.config
    if body.rotary_emb.rope_type not in _STEADY_ANGLES:
        return None
    first = body.layers[0].self_attn
    heads = Heads(config.num_attention_heads, config.num_key_value_heads, first.head_dim, first.scaling)
    blocks = tuple(_rotary_block(layer, config) for layer in body.layers)
    norm, head = _norm(body.norm), _joined([model.lm_head])
    alone = isinstance(model.lm_head, Int8Linear | Int4Linear)
    angles = partial(_angles, body.rotary_emb)
    return Network(lambda ids, _: body.embed_tokens(ids), angles, blocks, norm, head, heads, model.device, alone)


def _with_positions(body: Any) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:  # noqa: ANN401 - as above
    return lambda ids, positions: body.wte(ids) + body.wpe(positions)


def _rotary_block(layer: Any, config: Any) -> Block:  # noqa: ANN401 - transformers' attributes are found out at run time
    attention = layer.self_attn
    return Block(
        _norm(layer.input_layernorm),
        _joined([attention.q_proj, attention.k_proj, attention.v_proj]),
        _joined([attention.o_proj]),
        _norm(layer.post_attention_layernorm),
        _mlp(layer.mlp, config.hidden_act),
        _window(attention, config),
    )


def _window(attention: Any, config: Any) -> int | None:  # noqa: ANN401 - transformers' attributes are found out at run time
    if hasattr(attention, "sliding_window"):  # Qwen2 has it in some layers
        own: int | None = attention.sliding_window
        return own
    every: int | None = getattr(config, "sliding_window", None)
    return every


def _angles(rotary: Any, x: torch.Tensor, positions: torch.Tensor) -> Angles:  # noqa: ANN401 - any rotary embedding
    cosines, sines = (part[0][:, None].contiguous() for part in rotary(x, positions[None]))
    half = sines.shape[-1] // 2
    return cosines, torch.cat((-sines[..., :half], sines[..., half:]), -1)


def _mlp(mlp: Any, name: str) -> Perceptron:  # noqa: ANN401 - transformers' attributes are found out at run time
    if hasattr(mlp, "gate_proj"):
        return Perceptron(_joined([mlp.gate_proj, mlp.up_proj]), _joined([mlp.down_proj]), mlp.act_fn, name, gated=True)
    return Perceptron(_joined([mlp.c_fc]), _joined([mlp.c_proj]), mlp.act, name, gated=False)


def _norm(module: Any) -> Map:  # noqa: ANN401 - transformers' attributes are found out at run time
    if isinstance(module, nn.LayerNorm):
        return LayerNorm(module.weight, module.bias, module.eps)
    if module.weight.dtype == torch.float32:
        return RootMeanSquare.of(module.weight, module.variance_epsilon)
    return module  # type: ignore[no-any-return]  # its way of rounding in lower precision is its own


def _joined(parts: Sequence[nn.Module]) -> Map:
    """Linear layers of the same input as one, their outputs side by side."""
    eighths = [part for part in parts if isinstance(part, Int8Linear)]
    quarters = [part for part in parts if isinstance(part, Int4Linear)]
    if len(eighths) == len(parts):
        return joined_int8(eighths)
    if len(quarters) == len(parts):
        return joined_int4(quarters)
    floats = [part for part in parts if type(part) is nn.Linear]
    if len(floats) < len(parts) or len({part.bias is None for part in floats}) > 1:
        return parts[0] if len(parts) == 1 else lambda x: torch.cat([part(x) for part in parts], -1)
    if len(parts) == 1:
        return partial(linear, weight=floats[0].weight, bias=floats[0].bias)
    weight = torch.cat([part.weight for part in floats])
    views = torch.split(weight, [part.out_features for part in floats])
    for part, view in zip(floats, views, strict=True):
        part.weight.data = view
    bias = None if floats[0].bias is None else torch.cat([part.bias for part in floats])
    return partial(linear, weight=weight, bias=bias)


_LAYOUTS: dict[type, Callable[[Any], Network | None]] = {
    GPTBigCodeForCausalLM: _gpt_bigcode,
    Starcoder2ForCausalLM: _rotary,
    Qwen2ForCausalLM: _rotary,
    LlamaForCausalLM: _rotary,
}
