"""What fits: weights and KV cache against the memory that is free, reckoned before anything is loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import OutOfMemory
from assistant.hosting.llama_gguf import Header
from assistant.models.spec import ModelSpec

SHORTEST_CONTEXT = 2048
"""Tokens of the smallest window that is worth opening a model for."""

_OVERHEAD = 256 << 20
"""Bytes for activations, llama.cpp's own buffers and Python."""

_CACHE_MIB = 512


@dataclass(frozen=True, slots=True)
class Budget:
    """What a model gets.

    context_length: tokens of the window.
    cache_mib: MiB for the KV of earlier conversations.
    """

    context_length: int
    cache_mib: int


def admit(header: Header, spec: ModelSpec, available: int | None = None) -> Budget:
    """The window that fits into `available` bytes (None asks the system), at most what the spec or the model says.

    Raises:
        OutOfMemory: not even the smallest window fits, or not the one that the spec asks for.
    """
    available = _available() if available is None else available
    wanted = min(spec.context_length or header.context_length, header.context_length)
    if available is None:
        return Budget(wanted, _CACHE_MIB)
    free = available - header.file_bytes - _OVERHEAD
    fitting = free // header.kv_bytes_per_token
    least = wanted if spec.context_length else min(wanted, SHORTEST_CONTEXT)
    if fitting < least:
        raise _does_not_fit(header, spec, least, available)
    context = min(wanted, fitting)
    left = free - context * header.kv_bytes_per_token
    return Budget(context, max(0, min(_CACHE_MIB, left >> 20)))


def _does_not_fit(header: Header, spec: ModelSpec, context: int, available: int) -> OutOfMemory:
    needed = header.file_bytes + _OVERHEAD + context * header.kv_bytes_per_token
    return OutOfMemory(
        f"{spec.name} needs {needed / 1e9:.2f} GB of memory for {context} tokens, and {available / 1e9:.2f} GB is free.",
        "Close other programs, ask for a shorter context, or choose a smaller model.",
    )


def _available() -> int | None:
    """Bytes that can be used without swapping, or None where the system does not say."""
    known = [amount for amount in (_of_machine(), _of_container()) if amount is not None]
    return min(known, default=None)


def _of_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return None


def _of_container() -> int | None:
    """What the control group still allows; cached files in it can be given up, so they count as free."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
        statistics = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        return limit - used + int(statistics.get("file", 0))
    except (OSError, ValueError):
        return None
