"""Small decoders of every shape that the torch engine computes by itself, with random weights."""

from __future__ import annotations

from typing import Any

import torch
import transformers

WINDOW = 640
IDS = [5 + (7 * number * number + 3 * number) % 90 for number in range(600)]

ENDS: dict[str, Any] = {"vocab_size": 97, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
SIZES: dict[str, Any] = {
    **ENDS,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": WINDOW,
}
BIGCODE: dict[str, Any] = {**ENDS, "n_positions": WINDOW, "n_embd": 64, "n_layer": 3, "n_head": 4}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}

SHAPES = {
    "StarChat": transformers.GPTBigCodeConfig(**BIGCODE),
    "GPTBigCode, unscaled": transformers.GPTBigCodeConfig(**BIGCODE, scale_attn_weights=False),
    "Starcoder2": transformers.Starcoder2Config(**SIZES, sliding_window=40),
    "Starcoder2 without biases, all seen": transformers.Starcoder2Config(**SIZES, sliding_window=None, use_bias=False),
    "Qwen2": transformers.Qwen2Config(**SIZES),
    "Qwen2, last layers slide, tied": transformers.Qwen2Config(
        **SIZES, use_sliding_window=True, sliding_window=30, max_window_layers=1, tie_word_embeddings=True
    ),
    "Llama": transformers.LlamaConfig(**SIZES),
    "Llama 3, wide heads, biases": transformers.LlamaConfig(
        **SIZES, head_dim=32, attention_bias=True, mlp_bias=True, rope_parameters=_LLAMA3
    ),
    "Llama, one head of keys": transformers.LlamaConfig(**{**SIZES, "num_key_value_heads": 1}),
    "Llama, no shared heads": transformers.LlamaConfig(**{**SIZES, "num_key_value_heads": 4}),
}


def model_of(config: transformers.PreTrainedConfig) -> Any:
    config.initializer_range = 0.2
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.2)
    return model
