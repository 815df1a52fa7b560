"""What `assistant doctor` finds: this machine, the packages, the folders, and the model that would run."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from assistant import __version__, settings
from assistant.endpoints import LOOPBACK
from assistant.errors import ModelError, UsageError
from assistant.models import conversions, cpu_format, cpu_speed, receipts, registry
from assistant.models.catalogue import find, suggestion
from assistant.models.choice import Choice
from assistant.models.decision import decide, decide_place
from assistant.models.files import free_bytes
from assistant.models.hardware import Hardware, package_version
from assistant.models.offers import size_text
from assistant.models.overview import fix_rate_text
from assistant.models.prepare import is_hub_id, is_remote, local_entry, require_engine
from assistant.places import size_of
from assistant.settings import Settings

_PACKAGES = ("xllamacpp", "torch", "transformers", "accelerate", "gguf", "bitsandbytes", "huggingface-hub")


Finding = tuple[str, str]
"""A title and what there is to say under it."""


def surroundings(hardware: Hardware) -> Iterator[Finding]:
    """The machine, the packages that engines need, and the folders."""
    yield from _machine(hardware)
    yield from _packages()
    yield from _folders()


def model_findings(given: Settings, hardware: Hardware) -> Iterator[Finding]:
    """What would run, and why.

    Raises:
        AssistantError: nothing can run.
    """
    remote = given.endpoint or (given.model if given.model and is_remote(given.model) else None)
    if remote and not is_remote(remote):
        raise UsageError(f"The endpoint {remote!r} is no URL.", "It must begin with http:// or https://.")
    if remote:
        leaves = "" if urlsplit(remote).hostname in LOOPBACK else "; your code leaves this machine"
        yield "model", f"the server at {remote}{leaves}"
        return
    if given.model and find(given.model) is None:
        yield "model", _unlisted(given.model)
        yield from _own_number_format(given.model, given, hardware)
        return
    chosen = decide(hardware, given)
    yield from _chosen(chosen)
    if chosen.quantization == "auto":
        yield _number_format(cpu_format.expected(chosen.entry.parameters, given.threads, hardware))
    yield from _quicker(chosen, given, hardware)
    require_engine(chosen.entry)


def _machine(hardware: Hardware) -> Iterator[Finding]:
    yield "assistant", f"{__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}"
    yield "processor", f"{hardware.cores} cores for this process"
    if speed := cpu_speed.kept():
        yield "measured", str(speed)
    yield "memory", f"{size_text(hardware.free_memory)} free of {size_text(hardware.memory)}"
    for gpu in hardware.gpus:
        yield "GPU", f"cuda:{gpu.index} {gpu.name}, {size_text(gpu.free)} free of {size_text(gpu.total)}, driver {gpu.driver}"
    if hardware.metal:
        yield "GPU", "Apple (Metal)"
    if hardware.gpu_problem:
        yield "GPU", f"cannot be used: {hardware.gpu_problem}"
    elif not hardware.gpus and not hardware.metal:
        yield "GPU", "none"


def _packages() -> Iterator[Finding]:
    for name in _PACKAGES:
        yield name, package_version(name) or "not installed"


def _folders() -> Iterator[Finding]:
    cache = settings.model_cache()
    yield "settings", _with_state(settings.settings_file())
    yield "state", _with_state(settings.home())
    yield "logs", f"{settings.home() / 'hosts' / '*.log'} (no content of what is asked)"
    yield "models", f"{cache} ({size_text(free_bytes(cache))} free)"


def _with_state(path: Path) -> str:
    return str(path) if path.exists() else f"{path} (not there yet)"


def _chosen(chosen: Choice) -> Iterator[Finding]:
    entry = chosen.entry
    held = "" if chosen.quantization in ("none", "auto") else f", {chosen.quantization}"
    yield "model", f"{entry.name} on {chosen.device}{held}"
    yield "why", chosen.reason
    yield "fix rate", fix_rate_text(entry.fix_rate)
    receipt = receipts.installed(entry.name)
    size = size_text(entry.download_bytes)
    yield "installed", str(receipt.folder) if receipt else f"no ({size}); get it: assistant models pull {entry.name}"
    for one in conversions.kept():
        if one.model == entry.name:
            yield "unpacked", f"{one.quantization} for the torch engine, {size_text(size_of(one.folder))} in {one.folder}"
    yield from (("warning", line) for line in chosen.warnings)


def _quicker(chosen: Choice, given: Settings, hardware: Hardware) -> Iterator[Finding]:
    """That the torch engine would be the quicker one for a GGUF model, where its probe and its kernel are there to say so."""
    speed = cpu_speed.kept(cpu_speed.engine_threads(given.threads, hardware.cores))
    able = hardware.torch and package_version("gguf") and any((settings.home() / "kernels").glob("torch-*.so"))
    if chosen.entry.format != "gguf" or chosen.quantization != "none" or not able or speed is None:
        return
    times = speed.reply(speed.fastest_float) / speed.reply("int8")
    if times * cpu_format.WORTH > 1:
        floats = f"int8 was measured {times:.1f} times as quick as {cpu_format.shown(speed.fastest_float)} here"
        yield "quicker", f"--quantization int8, by the torch engine ({floats}); llama.cpp starts sooner and takes less memory"


def _own_number_format(model: str, given: Settings, hardware: Hardware) -> Iterator[Finding]:
    """In what the model of a folder is to be held, where that is left to the engine."""
    folder = _place(model)
    if not (folder / "config.json").is_file():
        return
    entry = local_entry(model, folder, "safetensors")
    if decide_place(entry, hardware, given).quantization == "auto":
        known = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type") in cpu_format.ARCHITECTURES
        yield _number_format(cpu_format.expected(entry.parameters, given.threads, hardware, known=known))


def _number_format(found: cpu_format.CpuFormat | None) -> Finding:
    if found is None:
        return "number format", "left to the engine, which measures for a moment when it opens its first model"
    other = "--quantization none insists on floats" if found.name == "int8" else "--quantization int8 insists on int8"
    return "number format", f"{found}; {other}"


def _place(model: str) -> Path:
    """Where a model lies that the catalogue does not know, if it lies anywhere."""
    own, receipt = registry.lookup(model), receipts.installed(model) if is_hub_id(model) else None
    if own or receipt is None:
        return own.path if own else Path(model).expanduser()
    return receipt.folder


def _unlisted(model: str) -> str:
    place = _place(model)
    if model.startswith("scripted:"):
        return f"{model}, which plays a model from a script"
    if place.exists():
        registry.check_path(place)
        return f"{place}, which is safe to open; fix rate not measured"
    if not is_hub_id(model):
        raise ModelError(f"No model is called {model!r}.", suggestion(model, tuple(row.name for row in registry.registered())))
    return f"{model}, a hub model that the catalogue does not know; fix rate not measured"
