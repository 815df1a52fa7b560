"""The kernel in C, compiled once for this machine where that can be done: AVX-512 VNNI, Linux, a C compiler.

It has threads of its own; torch's would spin beside them, so that `share_work` leaves torch one.  Nothing is looked for outside
the system's own folders, and nothing but the files beside this one is compiled.  The library lies in our private folder under
the digest of what made it.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch.nn.functional import pad

from assistant import settings
from assistant.errors import AssistantError
from assistant.hosting.torch_engine import pages

log = logging.getLogger("assistant.hosting")

GROUP = 32
"""Inputs that share the numbers by which 4 bits become 8."""

_SOURCES = tuple(
    Path(__file__).with_name(name) for name in ("products.c", "blocks.c", "attention.c", "rounding.c", "threads.c")
)
_READ = (*_SOURCES, Path(__file__).with_name("kernel.h"))
_FLAGS = ("-O3", "-shared", "-fPIC", "-pthread", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni")
_PANEL = 64


class _Layer(ctypes.Structure):
    _fields_ = (
        ("inputs", ctypes.c_int64),
        ("outputs", ctypes.c_int64),
        ("bits", ctypes.c_int64),
        ("weight", ctypes.c_void_p),
        ("scale", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
    )


@dataclass(frozen=True, slots=True)
class KernelLinear:
    """A layer that the kernel holds: `[rows, in]` to `[rows, out]` in float32."""

    inputs: int
    outputs: int
    library: ctypes.CDLL
    where: int
    _held: object = field(repr=False)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous()
        out = x.new_empty(len(x), self.outputs)
        enough(self.library.product(len(x), x.data_ptr(), self.where, out.data_ptr()))
        return out


def of_eighths(weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None) -> KernelLinear | None:
    """The layer of an int8 `weight` `[out, in]`; None where it cannot be had."""
    if not available() or weight.shape[1] % 4:
        return None
    return _layer(8, weight.shape[1], _panels(weight), scale, bias)


def of_quarters(
    codes: torch.Tensor, steps: torch.Tensor, inputs: int, scale: torch.Tensor, bias: torch.Tensor | None
) -> KernelLinear | None:
    """The layer of weights in 4 bits, as `int4` describes them; None where it cannot be had."""
    return _layer(4, inputs, _quarter_panels(codes, steps), scale, bias) if available() else None


def quarters(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
    """What `int4` makes of a weight, up to ties; None where the kernel is not there."""
    if rows.device.type != "cpu" or not available():
        return None
    kernel, (outputs, inputs), groups = library(), rows.shape, -(-rows.shape[1] // GROUP)
    assert kernel is not None
    floats = rows.float().contiguous()
    codes = torch.empty(outputs, groups * GROUP // 2, dtype=torch.uint8)
    steps, scale = torch.empty(outputs, groups, 2, dtype=torch.int8), torch.empty(outputs)
    kernel.quarters(outputs, inputs, floats.data_ptr(), *(part.data_ptr() for part in (codes, steps, scale)))
    return codes, steps, scale


def enough(status: int) -> None:
    """Raises MemoryError where a call of the kernel says so."""
    if status:
        raise MemoryError


def available() -> bool:
    """Whether the kernel is there, or can be made."""
    return usable() and library() is not None


def version() -> str:
    """Sixteen digits that change with the kernel, and so with the last bits of what it computes."""
    made_of = "\n".join((*(source.read_text(encoding="utf-8") for source in _READ), *_FLAGS))
    return hashlib.sha256(made_of.encode()).hexdigest()[:16]


def usable() -> bool:
    """Whether the kernel suits this machine."""
    return platform.system() == "Linux" and platform.machine() == "x86_64" and torch.cpu._is_vnni_supported()


def share_work(threads: int) -> None:
    """Let the kernel, where it is there, use so many threads from now on, and torch one for the little that is left to it."""
    found = library() if usable() else None
    if found is not None:
        found.use_threads(threads)
        torch.set_num_threads(1)


def _layer(
    bits: Literal[4, 8], inputs: int, panels: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None
) -> KernelLinear:
    kernel, outputs = library(), len(scale)
    assert kernel is not None
    held = (panels, scale.contiguous(), torch.empty(outputs, dtype=torch.int32), bias)
    layer = _Layer(inputs, outputs, bits, *(None if tensor is None else tensor.data_ptr() for tensor in held))
    enough(kernel.offsets(ctypes.addressof(layer), held[2].data_ptr()))
    return KernelLinear(inputs, outputs, kernel, ctypes.addressof(layer), (layer, held))


def _panels(weight: torch.Tensor) -> torch.Tensor:
    """Panels of 64 outputs: `[panels, in / 4, 4, 16, 4]`, the last one filled up with zeros."""
    outputs, inputs = weight.shape
    panels = pages.empty(-(-outputs // _PANEL) * _PANEL * inputs)
    _pack(weight, 1, 0, panels)
    return panels


def _quarter_panels(codes: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Panels of 64 outputs: for each group its 64 pairs of numbers, then the codes; bytes `[panels, groups, 128 + 1024]`."""
    groups = steps.shape[1]
    pairs = pad(steps.flatten(1), (0, 0, 0, -len(steps) % _PANEL)).contiguous().view(torch.int16)
    pairs = pairs.view(-1, _PANEL, groups).transpose(1, 2)
    panels = pages.empty(len(pairs) * groups * 18 * _PANEL).view(len(pairs), groups, 18 * _PANEL)
    panels.view(torch.int16)[..., :_PANEL].copy_(pairs)
    _pack(codes, groups, _PANEL // 2, panels)
    return panels


def _pack(rows: torch.Tensor, blocks: int, gap: int, panels: torch.Tensor) -> None:
    kernel, rows = library(), rows.contiguous()
    assert kernel is not None
    run = rows.shape[1] // 4 // blocks
    kernel.packed(len(rows), blocks, run, gap, rows.data_ptr(), panels.data_ptr())


@cache
def library() -> ctypes.CDLL | None:
    """The compiled file, made now where there is none yet; None where this fails, which costs speed only."""
    compiler = next(filter(None, (shutil.which(name, path=os.defpath) for name in ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return None
    path = settings.home() / "kernels" / f"torch-{version()}.so"
    try:
        if not path.is_file():
            settings.private_folder(path.parent)
            _compile(compiler, path)
        found = ctypes.CDLL(str(path))
    except (OSError, AssistantError, subprocess.SubprocessError) as error:
        log.info("kernel not compiled: %s", type(error).__name__)
        with suppress(OSError):
            path.unlink(missing_ok=True)  # made anew next time
        return None
    _declare(found)
    return found


def _declare(found: ctypes.CDLL) -> None:
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    found.use_threads.argtypes, found.use_threads.restype = [number], None
    found.quarters.argtypes, found.quarters.restype = [number, number, *[pointer] * 4], None
    found.packed.argtypes, found.packed.restype = [*[number] * 4, *[pointer] * 2], None
    found.offsets.argtypes = [pointer] * 2
    found.product.argtypes = [number, *[pointer] * 3]
    found.block_project.argtypes = [pointer, number, *[pointer] * 6, number, number]
    for attend in (found.block_attend, found.block_attend_all):
        attend.argtypes = [pointer, number, *[pointer] * 3, number, number, pointer]
    found.block_finish.argtypes = [pointer, number, *[pointer] * 2]
    found.block_head.argtypes = [pointer, number, *[pointer] * 2]


def _compile(compiler: str, path: Path) -> None:
    draft = path.with_suffix(f".{os.getpid()}")
    try:
        subprocess.run(
            [compiler, *_FLAGS, "-o", str(draft), *map(str, _SOURCES)],
            check=True,
            capture_output=True,
            timeout=60,
            cwd=path.parent,
            stdin=subprocess.DEVNULL,
            env={"PATH": os.defpath, "LC_ALL": "C"},
        )
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
