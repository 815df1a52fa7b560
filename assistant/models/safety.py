"""What may be opened: weights as safetensors or GGUF, JSON, tokenizer files; never anything that could run code.

Nothing here imports or executes anything of a model.  Pickles that lie beside safetensors (such as `training_args.bin`) are
never read, so they do no harm and are passed over.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assistant.errors import ModelError
from assistant.models.gguf import check_gguf
from assistant.models.tensors import check_safetensors

_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz")
_JSON_LIMIT = 64_000_000
_CODE_KEYS = ("auto_map", "custom_pipelines")
_KERNEL_KEYS = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal", "_experts_implementation")
_REACHES_INTO_PYTHON = re.compile(
    r"__(class|globals|subclasses|import|builtins|mro|bases?|init|getattribute|code|reduce)\w*__|\|\s*attr\s*\(|\\x5f|\blipsum\b"
)


def check_folder(path: Path) -> None:
    """Make sure that a folder holds a model that can be opened without running anything of it.

    Raises:
        ModelError: it does not; the message names the file and what is wrong with it.
    """
    files = sorted(_files(path))
    for file in files:
        _check_place(file, path)
    configs = {file.name: _read_json(file) for file in files if file.suffix == ".json"}
    for name, config in configs.items():
        _check_config(name, config)
    for file in files:
        if file.suffix == ".jinja":
            _check_template(file.name, _read_text(file))
    weights = [file for file in files if file.suffix == ".safetensors"]
    _check_complete(path, {file.name for file in files}, configs, weights)
    for file in weights:
        check_safetensors(file)


def check_file(path: Path) -> None:
    """Make sure that a single file is a whole GGUF model.

    Raises:
        ModelError: it is another kind of file, truncated or malformed.
    """
    _check_regular(path)
    if path.suffix.lower() in _PICKLES:
        raise _pickled(path.name)
    check_gguf(path)


def _files(folder: Path) -> Iterator[Path]:
    """The folder's own files; subfolders are never read."""
    try:
        yield from (entry for entry in folder.iterdir() if not entry.is_dir())
    except OSError as error:
        raise ModelError(
            f"The model folder {folder} cannot be read: {error.strerror}.", "Check the path and its permissions."
        ) from error


def _check_place(file: Path, folder: Path) -> None:
    """A link may lead elsewhere in the folder, or to where the hub's cache keeps its files, and nowhere else."""
    _check_regular(file)
    place = Path(os.path.realpath(file))
    root = Path(os.path.realpath(folder))
    allowed = [root, root.parent.parent / "blobs"] if root.parent.name == "snapshots" else [root]
    if not any(place.is_relative_to(one) for one in allowed):
        raise ModelError(f"{file.name} is a link that leads out of the model folder.", "Replace the link by the file itself.")


def _check_regular(file: Path) -> None:
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise ModelError(f"{file.name} cannot be read: {error.strerror}.", "Fetch the model again.") from error
    if not stat.S_ISREG(mode):
        raise ModelError(f"{file.name} is not a regular file.", "Remove it from the model folder.")


def _read_json(file: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    if file.stat().st_size > _JSON_LIMIT:
        raise ModelError(f"{file.name} is larger than any configuration ever is.", "Fetch the model again.")
    try:
        return json.loads(_read_text(file))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file.name} is not valid JSON ({type(error).__name__}).", "Fetch the file again.") from error


def _read_text(file: Path) -> str:
    if file.stat().st_size > _JSON_LIMIT:
        raise ModelError(f"{file.name} is larger than any template ever is.", "Fetch the model again.")
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{file.name} cannot be read: {error}.", "Fetch the file again.") from error


def _check_config(name: str, config: object) -> None:
    """No key may name code, to be loaded from the folder or from anywhere else."""
    for key, value in _pairs(config):
        if key in _CODE_KEYS and value:
            raise ModelError(
                f"{name} asks for code of its own to be run ({key}).",
                "Such models are not opened here; choose one whose architecture transformers knows.",
            )
        if key in _KERNEL_KEYS and isinstance(value, str) and "/" in value:
            raise ModelError(f"{name} asks for a kernel to be downloaded and run ({key}).", f"Remove {key} from {name}.")
        if key == "chat_template":
            _check_template(name, json.dumps(value))


def _check_template(name: str, template: str) -> None:
    # The assistant never renders a model's own template; another program that the folder is passed on to might.
    if _REACHES_INTO_PYTHON.search(template):
        raise ModelError(
            f"The chat template in {name} reaches into Python's insides.", "Do not trust this model; choose another."
        )


def _pairs(value: object) -> Iterator[tuple[str, object]]:
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, dict):
            yield from current.items()
            pending.extend(current.values())
        elif isinstance(current, list):
            pending.extend(item for item in current if isinstance(item, dict | list))


def _check_complete(folder: Path, names: set[str], configs: dict[str, Any], weights: list[Path]) -> None:
    if not weights and any(name.lower().endswith(_PICKLES) for name in names):
        raise _pickled(folder.name)
    if "adapter_config.json" in names:
        raise ModelError(f"{folder.name} holds an adapter, not a whole model.", "Merge it into its base model first.")
    if not isinstance(configs.get("config.json"), dict):
        raise ModelError(f"{folder.name} is no model folder: it has no config.json.", "Give the folder that holds config.json.")
    if not weights:
        raise ModelError(f"{folder.name} holds no weights (*.safetensors).", "Fetch the model again.")
    for name, index in configs.items():
        if name.endswith(".safetensors.index.json"):
            _check_index(name, index, names)


def _check_index(name: str, index: object, names: set[str]) -> None:
    table = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(table, dict):
        raise ModelError(f"{name} is no index of weights.", "Fetch the file again.")
    missing = sorted({str(shard) for shard in table.values()} - names)
    if missing:
        raise ModelError(f"{name} names {missing[0][:80]}, which is not in the folder.", "Fetch the missing file.")


def _pickled(name: str) -> ModelError:
    return ModelError(
        f"{name} holds its weights as a pickle, and opening a pickle can run any code.",
        "Choose a model with safetensors, or have its publisher convert it.",
    )
