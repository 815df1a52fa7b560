"""Attention inside each dialogue of a packed block: nothing is computed that a mask would then take away.

transformers isolates packed dialogues with a mask over the whole block, so that the kernel computes every pair of tokens of it.
On a CPU each dialogue goes through the causal kernel by itself instead: the numbers are the same, in a third of the time on
blocks of 1,024 tokens with three to five dialogues; where all heads share one key, `multi_query` is quicker still.  On GPUs
flash attention does this in one kernel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from training import multi_query

BY_DIALOGUE = "by_dialogue"

# The architectures whose attention is causal and nothing else, and hands keyword arguments on; each is tested.
_ARCHITECTURES = frozenset({"gpt_bigcode", "llama", "qwen2", "starcoder2"})


def isolate(model: Any) -> None:  # noqa: ANN401 - any transformers model
    """Have a model on the CPU attend dialogue by dialogue, where its architecture is known to allow it."""
    from transformers import AttentionInterface

    narrow = getattr(model.config, "sliding_window", None) or getattr(model.config, "use_sliding_window", False)
    if model.config.model_type in _ARCHITECTURES and model.config._attn_implementation == "sdpa" and not narrow:
        AttentionInterface.register(BY_DIALOGUE, _by_dialogue)
        model.set_attn_implementation(BY_DIALOGUE)


def arguments(kind: str, position_ids: Tensor) -> dict[str, Any]:
    """What an attention implementation has to be told about packed dialogues besides their position ids.

    position_ids: (blocks, block length), restarting with every dialogue; for flash attention flattened to (1, tokens), whose
    borders have to be given explicitly, because GPTBigCode drops position ids on the way to attention.
    """
    if kind == BY_DIALOGUE:
        return {"lengths": _borders(position_ids).diff().tolist()}
    if kind != "flash_attention_2":
        return {}
    borders = _borders(position_ids)
    longest = int(borders.diff().max())
    return {"cu_seq_lens_q": borders, "cu_seq_lens_k": borders, "max_length_q": longest, "max_length_k": longest}


def _borders(position_ids: Tensor) -> Tensor:
    """Where each dialogue begins among all tokens, and their number: int32."""
    starts = torch.nonzero(position_ids.flatten() == 0).flatten()
    return torch.cat([starts, starts.new_tensor([position_ids.numel()])]).to(torch.int32)


def _by_dialogue(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: Tensor | None,
    **more: Any,  # noqa: ANN401 - transformers hands on whatever the model was called with
) -> tuple[Tensor, None]:
    """An attention function of transformers: query (blocks, heads, tokens, size), key and value with as many or fewer heads.

    `lengths`: of the dialogues, over all blocks; without them each block is one.  Gives (blocks, tokens, heads, size).
    """
    blocks, _, tokens, _ = query.shape
    lengths: list[int] = more.get("lengths") or [tokens] * blocks
    dropout = more.get("dropout", 0.0) if module.training else 0.0
    flat = (_flat(query), _flat(key), _flat(value))
    if multi_query.suits(flat[0], flat[1], dropout, lengths):
        together = multi_query.attend(*flat, lengths, more.get("scaling"))
    else:
        together = _by_kernel(flat, lengths, dropout, more.get("scaling"))
    return together.view(blocks, tokens, *together.shape[1:]), None


def _by_kernel(flat: tuple[Tensor, Tensor, Tensor], lengths: list[int], dropout: float, scale: float | None) -> Tensor:
    """Query, key and value, all (tokens, heads, size), dialogue by dialogue through torch's kernel."""
    parts = []
    # Splitting is undone by one concatenation in the backward pass; slices would each cost a gradient of the full size.
    for dialogue in zip(*(torch.split(whole, lengths) for whole in flat), strict=True):
        q, k, v = (part.transpose(0, 1)[None] for part in dialogue)
        found = scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, scale=scale, enable_gqa=True)
        parts.append(found[0].transpose(0, 1))
    return torch.cat(parts)


def _flat(whole: Tensor) -> Tensor:
    """(blocks, heads, tokens, size) as (blocks x tokens, heads, size)."""
    return whole.transpose(1, 2).flatten(0, 1)
