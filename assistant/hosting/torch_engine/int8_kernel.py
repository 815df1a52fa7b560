"""`int8_product.c`, compiled once for this machine where that can be done and pays: one thread, AVX-512 VNNI, a C compiler.

Nothing is looked for outside the system's own folders, and nothing but the file beside this one is compiled.  The library lies
in our private folder under the digest of what made it.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
from torch.nn.functional import pad

from assistant import settings
from assistant.errors import AssistantError

log = logging.getLogger("assistant.hosting")

_SOURCE = Path(__file__).with_name("int8_product.c")
_FLAGS = ("-O3", "-shared", "-fPIC", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni")
_PANEL = 64


class _Layer(ctypes.Structure):
    _fields_ = (
        ("inputs", ctypes.c_int64),
        ("outputs", ctypes.c_int64),
        ("weight", ctypes.c_void_p),
        ("scale", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
    )


def compiled(
    weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None
) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """The layer of an int8 `weight` `[out, in]`, from `[rows, in]` to `[rows, out]` in float32; None where it cannot be had."""
    outputs, inputs = weight.shape
    library = _library() if usable() and inputs % 4 == 0 else None
    if library is None:
        return None
    held = (_panels(weight), scale.contiguous(), torch.empty(outputs, dtype=torch.int32), bias)
    layer = _Layer(inputs, outputs, *(None if tensor is None else tensor.data_ptr() for tensor in held))
    where, product = ctypes.addressof(layer), library.int8_product
    library.int8_offsets(where, held[2].data_ptr())

    def linear(x: torch.Tensor, _held: object = (layer, held)) -> torch.Tensor:
        x = x.contiguous()
        out = x.new_empty(len(x), outputs)
        if product(len(x), x.data_ptr(), where, out.data_ptr()):
            raise MemoryError
        return out

    return linear


def available() -> bool:
    """Whether the kernel is there, or can be made."""
    return usable() and _library() is not None


def usable() -> bool:
    """Whether the kernel suits this process: it runs on one thread, while others share the work among theirs."""
    here = platform.system() == "Linux" and platform.machine() == "x86_64"
    return here and torch.get_num_threads() == 1 and torch.cpu._is_vnni_supported()


def _panels(weight: torch.Tensor) -> torch.Tensor:
    """Panels of 64 outputs: `[panels, in / 4, 4, 16, 4]`, the last one filled up with zeros."""
    fours = pad(weight, (0, 0, 0, -len(weight) % _PANEL)).contiguous().view(torch.int32)  # four numbers are moved at a time
    return fours.view(-1, 4, 16, fours.shape[1]).permute(0, 3, 1, 2).contiguous()


@cache
def _library() -> ctypes.CDLL | None:
    """The compiled file, made now where there is none yet; None where this fails, which costs speed only."""
    compiler = next(filter(None, (shutil.which(name, path=os.defpath) for name in ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return None
    made_of = "\n".join((_SOURCE.read_text(encoding="utf-8"), *_FLAGS))
    path = settings.home() / "kernels" / f"int8-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.so"
    try:
        if not path.is_file():
            settings.private_folder(path.parent)
            _compile(compiler, path)
        library = ctypes.CDLL(str(path))
    except (OSError, AssistantError, subprocess.SubprocessError) as error:
        log.info("kernel not compiled: %s", type(error).__name__)
        with suppress(OSError):
            path.unlink(missing_ok=True)  # made anew next time
        return None
    library.int8_offsets.argtypes = [ctypes.c_void_p] * 2
    library.int8_offsets.restype = None
    library.int8_product.argtypes = [ctypes.c_int64, *[ctypes.c_void_p] * 3]
    library.int8_product.restype = ctypes.c_int
    return library


def _compile(compiler: str, path: Path) -> None:
    draft = path.with_suffix(f".{os.getpid()}")
    try:
        subprocess.run(
            [compiler, *_FLAGS, "-o", str(draft), str(_SOURCE)],
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
