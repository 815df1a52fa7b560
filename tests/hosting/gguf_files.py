"""GGUF files of the tiny models, as llama.cpp's own converter lays them out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import transformers

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "starcoder2": gguf.MODEL_ARCH.STARCODER2,
}


def write_gguf(folder: Path, path: Path, split: str = "starcoder", **more: Any) -> Path:
    """The model of a folder in float32.  split: how text is split, by name.  more: further keys, such as `expert_count`."""
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    config = model.config
    writer = gguf.GGUFWriter(path, config.model_type)
    _describe(writer, config)
    _tell_words(writer, json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")), split)
    for key, value in more.items():
        writer.add_key_value(f"{config.model_type}.{key}", value, gguf.GGUFValueType.get_type(value))
    names = gguf.get_tensor_name_map(ARCHITECTURES[config.model_type], config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        where = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert where is not None
        writer.add_tensor(where, _laid_out(where, tensor.numpy(), config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if config.model_type == "starcoder2":
        writer.add_layer_norm_eps(config.norm_epsilon)
    else:
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if config.model_type == "llama":
        writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)


def _tell_words(writer: gguf.GGUFWriter, pipeline: dict[str, Any], split: str) -> None:
    controls = {token["content"] for token in pipeline["added_tokens"]}
    words = sorted(pipeline["model"]["vocab"], key=pipeline["model"]["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(words)
    writer.add_token_types([gguf.TokenType.CONTROL if word in controls else gguf.TokenType.NORMAL for word in words])
    writer.add_token_merges([" ".join(pair) for pair in pipeline["model"]["merges"]])
    writer.add_eos_token_id(0)


def _laid_out(name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    """Llama's queries and keys are written with the two halves of a head's turning pairs side by side."""
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(name.split(".")[-2])
    if config.model_type != "llama" or heads is None:
        return weight
    return weight.reshape(heads, 2, len(weight) // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)
