"""The `tokenizer.json` of a GGUF file: transformers' reading of it, with every control token that the file names.

How text is split before its bytes are joined is not in the file but for the name of a way to do it; with another one, ids would
be valid and wrong, so that names that are not known here are refused.  llama.cpp has the same list in its `llama-vocab.cpp`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from assistant.errors import ModelError
from assistant.hosting.llama_vocabulary import Vocabulary

_AS_TRANSFORMERS = frozenset({"gpt-2", "qwen2", "deepseek-r1-qwen", "llama3", "llama-v3", "llama-bpe"})
_SINGLE_DIGITS = frozenset({"smollm", "starcoder", "refact"})


def tokenizer_json(path: Path, metadata: Mapping[str, Any], vocabulary: Vocabulary) -> str:
    """The text of a `tokenizer.json`.

    Raises:
        ModelError: the file splits text in a way that is not known here.
    """
    split = bytes(metadata.get("tokenizer.ggml.pre", b"default")).decode(errors="replace")
    if split not in _AS_TRANSFORMERS | _SINGLE_DIGITS:
        raise ModelError(
            f"{path.name} splits text in a way ({split[:40]}) that is known to llama.cpp alone.",
            "Leave --quantization out: llama.cpp runs it.",
        )
    read = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True, trust_remote_code=False)
    pipeline: dict[str, Any] = json.loads(read.backend_tokenizer.to_str())
    known = {token["content"] for token in pipeline["added_tokens"]}
    pipeline["added_tokens"] += [_added(name, number) for name, number in vocabulary.controls.items() if name not in known]
    if split in _SINGLE_DIGITS:
        pipeline["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [_DIGITS, _BYTES]}
    return json.dumps(pipeline, ensure_ascii=False)


def _added(name: str, number: int) -> dict[str, Any]:
    shape = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": name, "special": True, **shape}


_DIGITS: dict[str, Any] = {"type": "Digits", "individual_digits": True}
_BYTES: dict[str, Any] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
