"""What a model host needs to know to open a model; made by front ends, read by the host."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from assistant.errors import ModelError
from assistant.settings import Dtype, Quantization

Format = Literal["gguf", "safetensors", "scripted"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model that lies ready on this machine, and how it is to be run.

    name: what users call it; shown by `/v1/models`.
    path: a GGUF file, a folder with safetensors, or a script for the `ScriptedEngine`.
    template: `starchat`, `chatml`, `few-shot`, or `auto` to recognise it by the vocabulary.
    few_shot: a file of example dialogues, for `few-shot`; None takes the project's own.
    device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
    quantization: `auto` leaves it to the torch engine, which settles it when it opens the model (see `models.cpu_format`).
    dtype: `auto` (bfloat16, on a CPU what is quicker there), `float32` or `bfloat16`; for the torch engine.
    threads: CPU threads; None leaves one core free where there are more than two.
    context_length: tokens of the window; None takes the model's own, capped where memory asks for it.
    """

    name: str
    path: Path
    format: Format
    template: str = "auto"
    few_shot: Path | None = None
    quantization: Quantization = "none"
    device: str = "auto"
    dtype: Dtype = "auto"
    threads: int | None = None
    context_length: int | None = None

    @property
    def key(self) -> str:
        """Twelve hex digits that differ whenever another host is needed."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back."""
        return json.dumps(asdict(self), default=str, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> ModelSpec:
        """The inverse of `to_json`.

        Raises:
            ModelError: the text is not a spec of this version.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            few_shot = raw.pop("few_shot")
            return ModelSpec(path=Path(raw.pop("path")), few_shot=Path(few_shot) if few_shot else None, **raw)
        except (ValueError, TypeError, KeyError) as error:
            raise ModelError(f"The model description cannot be read: {error}.", "Run the command again.") from error
