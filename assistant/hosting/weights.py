"""Which weights these are, for everything that is kept about them."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version

from assistant.models.fingerprint import fingerprint
from assistant.models.spec import ModelSpec


def identity(spec: ModelSpec, engine: str, **details: object) -> str:
    """A line that differs whenever computed state of one model is of no use to another.

    engine: the distribution that computes, whose version counts.  details: what else changes the numbers, such as the format of
    the KV cache.
    """
    facts = {
        "weights": fingerprint(spec.name, spec.path),
        "quantization": spec.quantization,
        "dtype": spec.dtype,
        "engine": f"{engine} {_version(engine)}",
        **details,
    }
    return json.dumps(facts, sort_keys=True, default=str)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
