"""From what the user asked for to a model that lies ready: the one way in for front ends."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from assistant.errors import InputError, ModelError, UsageError
from assistant.models import conversions, receipts, registry
from assistant.models.catalogue import Entry, find, suggestion
from assistant.models.decision import decide, decide_place
from assistant.models.hardware import package_version, probe
from assistant.models.installing import Consent, Report, install
from assistant.models.offers import Progress
from assistant.models.spec import Format, ModelSpec
from assistant.settings import Settings

CPU_CONTEXT = 8192
"""Tokens of the window of a GGUF model; longer ones cost minutes of prefill on a CPU."""

_SCRIPTED = "scripted:"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def prepare(settings: Settings, consent: Consent, report: Report) -> ModelSpec:
    """The model that the settings ask for, or that this machine should run: downloaded if need be, verified, ready to open.

    `consent` is asked before anything over `CONSENT_BYTES` is fetched; `report` hears how a download goes.

    Raises:
        ModelError: the model is unknown, unsafe or damaged.
        ConsentNeeded: the user did not agree.
        DownloadError, StorageError: the download failed; what has arrived is kept.
        UsageError: the settings name a remote endpoint (see `is_remote`).
    """
    spec = _resolved(settings, consent, report)
    if spec.format == "gguf" and spec.quantization in conversions.KINDS and conversions.found(spec) is None:
        _warn((f"{spec.name} is unpacked for {spec.quantization} first, once; that can take a minute.",), report)
    return spec


def on_disk(settings: Settings) -> bool:
    """Whether the model is here already; the network is not touched."""
    model = settings.model
    if model is None or find(model):
        return receipts.installed(decide(probe(), settings).entry.name) is not None
    return receipts.installed(model) is not None if is_hub_id(model) else True


def is_remote(model: str) -> bool:
    """Whether this names an OpenAI-compatible server rather than a model on this machine."""
    return model.lower().startswith(("http://", "https://"))


def is_hub_id(model: str) -> bool:
    """Whether this has the form of a hub's repository, `owner/name`."""
    return _HUB_ID.fullmatch(model) is not None


def _resolved(settings: Settings, consent: Consent, report: Report) -> ModelSpec:
    model = settings.model
    if model and is_remote(model):
        raise UsageError(f"{model} is an endpoint, not a model that can be prepared here.", "Use it as --endpoint.")
    if model and model.startswith(_SCRIPTED):
        return _tuned(ModelSpec("scripted", _existing(model.removeprefix(_SCRIPTED)), "scripted", device="cpu"), settings)
    if model is None or find(model):
        return _from_catalogue(settings, consent, report)
    own = registry.lookup(model)
    if own:
        registry.check_path(own.path)
        return _placed(_local(own.name, own.path, own.format, own.template), settings, report)
    return _placed(_from_path(model) or _from_hub(model, consent, report), settings, report)


def _from_catalogue(settings: Settings, consent: Consent, report: Report) -> ModelSpec:
    chosen = decide(probe(), settings)
    _warn(chosen.warnings, report)
    entry = chosen.entry
    require_engine(entry)
    receipt = install(entry, consent, report)
    path = receipt.folder / entry.files[0].name if entry.format == "gguf" else receipt.folder
    spec = ModelSpec(entry.name, path, entry.format, entry.template, context_length=entry.context_length)
    return _tuned(replace(spec, quantization=chosen.quantization, device=chosen.device), settings)


def _from_path(model: str) -> ModelSpec | None:
    """A folder or a GGUF file; None where there is neither and the name may be a hub id."""
    path = Path(model).expanduser()
    if is_hub_id(model) and receipts.installed(model):
        return None
    if path.is_dir():
        registry.check_path(path)
        return _local(path.name or model, path.absolute(), "safetensors")
    if path.is_file():
        registry.check_path(path)
        return _local(path.stem, path.absolute(), "gguf")
    if model.endswith(".gguf") or model.startswith((".", "/", "~")):
        raise InputError(f"There is no model at {model}.", "Check the path.")
    return None


def _from_hub(model: str, consent: Consent, report: Report) -> ModelSpec:
    if not is_hub_id(model):
        names = tuple(row.name for row in registry.registered())
        raise ModelError(f"No model is called {model!r}.", suggestion(model, names))
    entry = hub_entry(model)
    require_engine(entry)
    receipt = install(entry, consent, report)
    return _local(model, receipt.folder, "safetensors")


def hub_entry(repo: str) -> Entry:
    """An entry for a repository that the catalogue does not know: its licence is for the user to read."""
    return Entry(
        name=repo,
        title=repo,
        format="safetensors",
        template="auto",
        licence=f"see the model card of {repo}",
        parameters=0,
        download_bytes=0,
        repo=repo,
    )


def require_engine(entry: Entry) -> None:
    """Find out before gigabytes are fetched whether they could be opened here.

    Raises:
        ModelError: the package of the model's engine is not installed.
    """
    package, extra = ("xllamacpp", "") if entry.format == "gguf" else ("torch", "[torch]")
    if package_version(package) is None:
        raise ModelError(f"{entry.name} needs the package {package}.", f"Install it: pip install 'starchat-assistant{extra}'.")


def _local(name: str, path: Path, kind: Format, template: str = "auto") -> ModelSpec:
    return ModelSpec(name, path, kind, template, context_length=CPU_CONTEXT if kind == "gguf" else None)


def local_entry(name: str, path: Path, kind: Format) -> Entry:
    """An entry for files that the catalogue does not know, judged by the size of the weights."""
    weights = [path] if path.is_file() else list(path.glob("*.safetensors"))
    size = sum(file.stat().st_size for file in weights)
    needs = {"none": size * 11 // 10, "bnb-8bit": size * 6 // 10, "bnb-4bit": size * 4 // 10}
    return replace(
        hub_entry(name),
        format=kind,
        parameters=size // 2,
        gpu_bytes={step: need + 1_000_000_000 for step, need in needs.items()},
    )


def _placed(spec: ModelSpec, settings: Settings, report: Report) -> ModelSpec:
    """Where a model that the catalogue does not know is to run."""
    placed = decide_place(local_entry(spec.name, spec.path, spec.format), probe(), settings)
    _warn(placed.warnings, report)
    return _tuned(replace(spec, quantization=placed.quantization, device=placed.device), settings)


def _warn(warnings: tuple[str, ...], report: Report) -> None:
    for warning in warnings:
        report(Progress("note", 0, 0, warning))


def _tuned(spec: ModelSpec, settings: Settings) -> ModelSpec:
    """With the threads, the dtype and the few-shot file that the settings ask for."""
    spec = replace(spec, threads=settings.threads, dtype=settings.dtype or spec.dtype)
    if settings.few_shot:
        return replace(spec, template="few-shot", few_shot=_existing(settings.few_shot))
    return spec


def _existing(name: str) -> Path:
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise InputError(f"There is no file {name}.", "Check the path.")
    return path
