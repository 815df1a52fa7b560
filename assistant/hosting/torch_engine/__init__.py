"""The engine for Hugging Face model folders, and for GGUF files in 8 or 4 bits of our own: transformers on a GPU or the CPU.

`open` is all that the host calls.  The parts, in the order of a request's way: `engine` (admission, streaming), `prefixes`
(what was computed before), `kv` and `kv_files` (caches), `decode` (prefill, and the loop of steps), `network` and `attention`
(one forward pass; `blocks`: the same in C), `drafting`, `sampling`.  In the order of loading: `device`, `probe`, `formats`,
`quantization`, `quantizer`, `int8`, `int4`, their `kernel` and its `pages`, `memory`, `loading`, `layouts` (from transformers'
model to a `Network` and its `parts`), `tokenizer`; before that, for a GGUF file, `unpacking` and `gguf_tokenizer`.  Nothing
here knows of conversations, templates or HTTP.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from assistant.errors import AssistantError, ModelError
from assistant.hosting.engine import Engine
from assistant.hosting.prefix_store import PrefixStore
from assistant.hosting.weights import identity
from assistant.models import conversions
from assistant.models.spec import ModelSpec
from assistant.prefixes import prefixes_folder

Report = Callable[[float], None]


def open(spec: ModelSpec, report: Report) -> Engine:
    """Load the model of `spec` from its folder; `report` is told the fraction that is done, from 0 to 1.

    A GGUF file is unpacked first, once (see `unpacking`).  Nothing is fetched from the network, and no code that comes with the
    model is run.

    Raises:
        ModelError: a package is missing, or the folder is unsafe, damaged or of an unknown architecture.
        OutOfMemory: the weights do not fit; found out before they are read, with numbers.
        StorageError: what is unpacked does not fit on the disk.
    """
    _require_packages(spec)
    # Read by the Hugging Face libraries when they are imported: a model in a folder needs nothing from the hub.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from assistant.hosting.torch_engine.engine import TorchEngine
    from assistant.hosting.torch_engine.int8 import product_name
    from assistant.hosting.torch_engine.loading import load

    folder, report = _folder(spec, report)
    loaded = load(replace(spec, path=folder), report)
    spec = replace(loaded.spec, path=spec.path)
    held = f"{loaded.dtype} on {loaded.device.type}, transformers {version('transformers')}"
    if spec.quantization in ("int8", "int4"):
        held += f", {product_name()}"  # whose last bits are its own
    return TorchEngine(loaded, store=_store(spec, held))


def _folder(spec: ModelSpec, report: Report) -> tuple[Path, Report]:
    """Where the weights lie, and who hears how they are loaded: where they are unpacked first, little is left then."""
    if spec.format != "gguf":
        return spec.path, report
    if kept := conversions.found(spec):
        return kept.folder, report
    from assistant.hosting.torch_engine.unpacking import folder_for

    return folder_for(spec, lambda fraction: report(0.9 * fraction)), lambda fraction: report(0.9 + 0.1 * fraction)


def _store(spec: ModelSpec, kv: str) -> PrefixStore | None:
    """Where computed beginnings are kept; None where the disk does not allow it, which costs time only."""
    try:
        return PrefixStore(prefixes_folder(), identity(spec, "torch", kv=kv))
    except AssistantError:
        return None


def _require_packages(spec: ModelSpec) -> None:
    needed = ["torch", "transformers", "accelerate"]
    extra = "torch"
    if spec.quantization.startswith("bnb"):
        needed.append("bitsandbytes")
        extra = "gpu"
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(
            f"{spec.name} needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed.",
            f"Run: pip install 'starchat-assistant[{extra}]'",
        )
