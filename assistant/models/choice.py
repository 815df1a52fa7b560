"""Which model this machine should run, and how: a pure function of the hardware and the settings."""

from __future__ import annotations

from dataclasses import dataclass, replace

from assistant.errors import ModelError
from assistant.models.catalogue import Entry, named
from assistant.models.conversions import KINDS
from assistant.models.hardware import Gpu, Hardware
from assistant.models.offers import size_text
from assistant.settings import Quantization, Settings

BIG = "starchat2-15b"
SMALL_GPU = "qwen2.5-coder-1.5b-torch"
CPU = "qwen2.5-coder-1.5b"
SMALL_CPU = "qwen2.5-coder-0.5b"

ENOUGH_MEMORY = 8 << 30
ENOUGH_CORES = 4

_LADDER: tuple[Quantization, ...] = ("none", "bnb-8bit", "bnb-4bit")
_HELD = {"none": "bf16", "bnb-8bit": "8-bit", "bnb-4bit": "4-bit", "int8": "int8", "int4": "int4"}
_INSTALL = "pip install 'starchat-assistant[gpu]'"


@dataclass(frozen=True, slots=True)
class Choice:
    """A model, how its weights are held, where it runs, why, and what the user should know besides."""

    entry: Entry
    quantization: Quantization
    device: str
    reason: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how weights are held."""

    quantization: Quantization
    device: str
    reason: str
    warnings: tuple[str, ...] = ()


def choose(hardware: Hardware, settings: Settings) -> Choice:
    """The model that the settings name, or the strongest that fits: StarChat on the GPU in bf16, else in 8-bit, else in 4-bit,
    else a small model on the GPU (or Metal), else one on the CPU.

    Raises:
        ModelError: the settings ask for a model or a device that there is not.
    """
    warnings = gpu_warnings(hardware, settings)
    if settings.model:
        entry = named(settings.model)
        placed = place(entry, hardware, settings)
        return Choice(
            entry, placed.quantization, placed.device, f"{entry.name} was asked for; {placed.reason}", placed.warnings
        )
    warnings = (*warnings, *_missed(named(BIG), hardware, settings))
    for name in (BIG, SMALL_GPU):
        entry = named(name)
        fitting = _on_gpu(entry, hardware, settings)
        if fitting:
            return Choice(entry, fitting.quantization, fitting.device, fitting.reason, warnings)
    if hardware.metal and settings.device in (None, "auto", "mps"):
        return _gguf_choice(named(CPU), "the Apple GPU is there", hardware, settings, warnings)
    entry, reason = _on_cpu(hardware)
    return _gguf_choice(entry, reason, hardware, settings, warnings)


def place(entry: Entry, hardware: Hardware, settings: Settings) -> Placement:
    """How a model that was named is to be run: as the settings say, else on the GPU if it fits, else on the CPU.

    Raises:
        ModelError: the settings ask for a device that there is not.
    """
    warnings = (*gpu_warnings(hardware, settings), *_missed(entry, hardware, settings))
    if entry.format == "gguf":
        return _of_gguf(entry, hardware, settings)
    fitting = _on_gpu(entry, hardware, settings)
    if fitting:
        return fitting
    if hardware.metal and settings.device in (None, "auto", "mps"):
        return Placement(_asked(settings) or "none", "mps", "the Apple GPU runs it", warnings)
    if _wants_gpu(settings):
        warnings = (*warnings, f"{entry.name} does not fit on the GPU that was asked for.")
        return Placement(_asked(settings) or "bnb-4bit", settings.device or "cuda", "as the settings say", warnings)
    held = _on_the_cpu(settings)
    need = entry.parameters * (2 if held == "none" else 1)
    if need > hardware.free_memory:
        line = f"{entry.name} needs about {size_text(need)} of memory; {size_text(hardware.free_memory)} are free."
        warnings = (*warnings, line)
    return Placement(held, "cpu", "there is no GPU that it fits on, so the CPU runs it, slowly", warnings)


def _of_gguf(entry: Entry, hardware: Hardware, settings: Settings) -> Placement:
    """By llama.cpp, unless the torch engine is there and is asked for by a quantization of its own."""
    asked = _asked(settings)
    by_llama = Placement("none", "auto" if hardware.metal else "cpu", "llama.cpp runs it")
    if asked in (None, "none"):
        return by_llama
    if asked not in KINDS:
        line = f"{entry.name} is a GGUF file, quantized as it is; {asked} does not apply to it."
        return replace(by_llama, warnings=(line,))
    if hardware.torch is None:
        line = f"{entry.name} is run by llama.cpp: {asked} needs PyTorch. Install it: pip install 'starchat-assistant[torch]'."
        return replace(by_llama, warnings=(line,))
    device = "cpu" if settings.device in (None, "auto") else settings.device
    return Placement(asked, device, f"the torch engine runs it in {asked}, unpacked once")


def gpu_warnings(hardware: Hardware, settings: Settings) -> tuple[str, ...]:
    """A line with the remedy for each GPU that is there but cannot be used.

    Raises:
        ModelError: the settings ask for a GPU, and there is none that can be used.
    """
    problem = _problem(hardware)
    if _wants_gpu(settings) and (problem or not hardware.gpus):
        raise ModelError(
            f"The device {settings.device} was asked for, but {problem or 'there is no NVIDIA GPU'}.", _remedy(hardware)
        )
    if settings.device == "mps" and not hardware.metal:
        raise ModelError("The device mps was asked for, but this is no Apple machine with a GPU.", "Choose --device auto.")
    if settings.device == "cpu" or not problem:
        return ()
    return (f"The GPU is not used: {problem}. {_remedy(hardware)}",)


def _problem(hardware: Hardware) -> str:
    if hardware.gpu_problem:
        return hardware.gpu_problem
    if not hardware.gpus:
        return ""
    name = hardware.gpus[0].name
    if hardware.torch is None:
        return f"{name} is there, but torch is not installed"
    if not hardware.torch.cuda:
        return f"{name} is there, but torch {hardware.torch.version} was built for the CPU only"
    return ""


def _remedy(hardware: Hardware) -> str:
    if hardware.gpu_problem or not hardware.gpus:
        return "Install or repair the NVIDIA driver until `nvidia-smi` shows the GPU, or choose --device cpu."
    if hardware.torch is None:
        return f"Install it: {_INSTALL}."
    return f"Install one for CUDA: pip uninstall -y torch, then {_INSTALL}."


def _asked(settings: Settings) -> Quantization | None:
    """The quantization that the user insists on."""
    return None if settings.quantization == "auto" else settings.quantization


def _on_the_cpu(settings: Settings) -> Quantization:
    """Left to the engine, which measures, unless the user insists on a quantization or on floats."""
    return _asked(settings) or ("auto" if settings.dtype in (None, "auto") else "none")


def _wants_gpu(settings: Settings) -> bool:
    return (settings.device or "").startswith("cuda")


def _on_gpu(entry: Entry, hardware: Hardware, settings: Settings) -> Placement | None:
    """The least quantized way in which the entry fits on the GPU; None where it does not fit or no GPU may be used."""
    gpu = _usable_gpu(hardware, settings)
    if gpu is None or hardware.torch is None or not entry.gpu_bytes:
        return None
    asked = _asked(settings)
    steps = (asked,) if asked else _LADDER
    fitting = [step for step in steps if _need(entry, step) <= gpu.free]
    able = [step for step in fitting if hardware.torch.bitsandbytes or not step.startswith("bnb")]
    if not able:
        return None
    held = f"{size_text(_need(entry, able[0]))} in {_HELD[able[0]]}"
    return Placement(able[0], f"cuda:{gpu.index}", f"{gpu.name} has {size_text(gpu.free)} free, and {entry.name} needs {held}")


def _missed(entry: Entry, hardware: Hardware, settings: Settings) -> tuple[str, ...]:
    """A line for a model that only bitsandbytes would make fit."""
    gpu = _usable_gpu(hardware, settings)
    if gpu is None or hardware.torch is None or hardware.torch.bitsandbytes:
        return ()
    assumed = replace(hardware, torch=replace(hardware.torch, bitsandbytes=True))
    if _on_gpu(entry, hardware, settings) or not _on_gpu(entry, assumed, settings):
        return ()
    return (f"{entry.name} would fit on {gpu.name} with bitsandbytes, which is not installed. Install it: {_INSTALL}.",)


def _usable_gpu(hardware: Hardware, settings: Settings) -> Gpu | None:
    """The GPU that the settings name, else the one with the most free memory."""
    device = settings.device or "auto"
    if _problem(hardware) or not hardware.gpus or not (device in ("auto", "cuda") or device.startswith("cuda:")):
        return None
    if device.startswith("cuda:"):
        chosen = [gpu for gpu in hardware.gpus if device == f"cuda:{gpu.index}"]
        if not chosen:
            known = ", ".join(f"cuda:{gpu.index}" for gpu in hardware.gpus)
            raise ModelError(f"There is no GPU {device}.", f"Choose one of {known}, or --device auto.")
        return chosen[0]
    return max(hardware.gpus, key=lambda gpu: gpu.free)


def _need(entry: Entry, step: str) -> int:
    """Bytes of GPU memory; a quantization without a figure of its own is taken to need what the next larger one does."""
    needs = entry.gpu_bytes or {}
    return needs.get(step, needs.get({"int8": "bnb-8bit", "int4": "bnb-4bit"}.get(step, "none"), 1 << 62))


def _gguf_choice(entry: Entry, reason: str, hardware: Hardware, settings: Settings, warnings: tuple[str, ...]) -> Choice:
    placed = _of_gguf(entry, hardware, settings)
    return Choice(entry, placed.quantization, placed.device, f"{reason}; {placed.reason}", (*warnings, *placed.warnings))


def _on_cpu(hardware: Hardware) -> tuple[Entry, str]:
    """The model for a machine without a GPU to use, and why that one."""
    roomy = hardware.free_memory >= ENOUGH_MEMORY and hardware.cores >= ENOUGH_CORES
    found = f"{hardware.cores} cores and {size_text(hardware.free_memory)} of free memory, without a GPU to use"
    reason = f"{found}; the 1.5B is taken from {ENOUGH_CORES} cores and {ENOUGH_MEMORY >> 30} GiB upwards"
    return named(CPU if roomy else SMALL_CPU), reason
