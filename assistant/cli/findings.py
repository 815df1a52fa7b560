"""What `assistant doctor` finds: this machine, the packages, the folders, and the model that would run."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from assistant import __version__, settings
from assistant.endpoints import LOOPBACK
from assistant.errors import ModelError, UsageError
from assistant.models import cpu_speed, receipts, registry
from assistant.models.catalogue import find, suggestion
from assistant.models.choice import Choice
from assistant.models.decision import decide
from assistant.models.files import free_bytes
from assistant.models.hardware import Hardware, package_version
from assistant.models.offers import size_text
from assistant.models.overview import fix_rate_text
from assistant.models.prepare import is_hub_id, is_remote, require_engine
from assistant.settings import Settings

_PACKAGES = ("xllamacpp", "torch", "transformers", "accelerate", "bitsandbytes", "huggingface-hub")


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
        return
    chosen = decide(hardware, given)
    yield from _chosen(chosen)
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
    held = "" if chosen.quantization == "none" else f", {chosen.quantization}"
    yield "model", f"{entry.name} on {chosen.device}{held}"
    yield "why", chosen.reason
    yield "fix rate", fix_rate_text(entry.fix_rate)
    receipt = receipts.installed(entry.name)
    size = size_text(entry.download_bytes)
    yield "installed", str(receipt.folder) if receipt else f"no ({size}); get it: assistant models pull {entry.name}"
    yield from (("warning", line) for line in chosen.warnings)


def _unlisted(model: str) -> str:
    own = registry.lookup(model)
    place = own.path if own else Path(model).expanduser()
    if model.startswith("scripted:"):
        return f"{model}, which plays a model from a script"
    if place.exists():
        registry.check_path(place)
        return f"{place}, which is safe to open; fix rate not measured"
    if not is_hub_id(model):
        raise ModelError(f"No model is called {model!r}.", suggestion(model, tuple(row.name for row in registry.registered())))
    return f"{model}, a hub model that the catalogue does not know; fix rate not measured"
