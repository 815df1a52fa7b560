"""Settings as the user gave them, and the folders that belong to the assistant.

A flag comes before the environment, the environment before the settings file (`settings.toml` in the settings folder).
Settings are read from the user's own folders only, never from a workspace.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import platformdirs

from assistant.errors import SettingsError, StorageError

Quantization = Literal["auto", "none", "bnb-8bit", "bnb-4bit", "int8", "int4"]
QUANTIZATIONS: tuple[str, ...] = get_args(Quantization)

Dtype = Literal["auto", "float32", "bfloat16"]
DTYPES: tuple[str, ...] = get_args(Dtype)

_APP = "starchat-assistant"
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user asked for; None where they left the choice to the assistant.

    model: a catalogue name, a folder, a GGUF file, a hub id (`owner/name`) or a URL.
    quantization: how weights are held by the torch engine; `auto` is the same as None.
    dtype: what the torch engine computes in; `auto` is bfloat16 on a GPU, and left to the engine on a CPU.
    device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
    endpoint: base URL of an OpenAI-compatible server that is to be used instead of a local model.
    threads: CPU threads of the engine; None leaves one core free where there are more than two.
    idle_minutes: how long the model host stays after its last request; 0 means for ever.
    history: whether chats are kept on this machine's disk.
    project: whether the model is shown a project's own instructions (`AGENTS.md`).
    """

    model: str | None = None
    quantization: Quantization | None = None
    dtype: Dtype | None = None
    device: str | None = None
    endpoint: str | None = None
    api_key: str | None = None
    threads: int | None = None
    idle_minutes: float = 30.0
    few_shot: str | None = None
    history: bool = True
    project: bool = True


_ENVIRONMENT = {
    "STARCHAT_MODEL": "model",
    "STARCHAT_QUANTIZATION": "quantization",
    "STARCHAT_DTYPE": "dtype",
    "STARCHAT_DEVICE": "device",
    "STARCHAT_ENDPOINT": "endpoint",
    "STARCHAT_API_KEY": "api_key",
    "STARCHAT_THREADS": "threads",
    "STARCHAT_IDLE_MINUTES": "idle_minutes",
    "STARCHAT_FEW_SHOT": "few_shot",
    "STARCHAT_HISTORY": "history",
    "STARCHAT_PROJECT": "project",
}


_CHOICES: Mapping[str, tuple[str, ...]] = {"quantization": QUANTIZATIONS, "dtype": DTYPES}


def load(flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings in force: `flags` (None values are not given), then the environment, then the file.

    Raises:
        SettingsError: naming the file or variable, the key and what it may be.
    """
    environment = os.environ if environment is None else environment
    settings = _merge(Settings(), _from_file(), f"{settings_file()}")
    for variable, key in _ENVIRONMENT.items():
        if environment.get(variable):
            settings = _merge(settings, {key: environment[variable]}, f"The environment variable {variable}")
    return _merge(settings, {key: value for key, value in (flags or {}).items() if value is not None}, "The command line")


def home() -> Path:
    """The folder that `STARCHAT_HOME` names, or the platform's folder for an application's data."""
    chosen = os.environ.get("STARCHAT_HOME")
    return Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_data_dir(_APP))


def settings_file() -> Path:
    """`settings.toml`, in `STARCHAT_HOME` where that is set, else in the platform's configuration folder."""
    folder = home() if os.environ.get("STARCHAT_HOME") else Path(platformdirs.user_config_dir(_APP))
    return folder / "settings.toml"


def hosts_folder() -> Path:
    """Where running model hosts write down their addresses; readable by the user alone."""
    return private_folder(home() / "hosts")


def model_cache() -> Path:
    """Where downloaded models are kept: `STARCHAT_CACHE`, else the platform's cache folder; not under `STARCHAT_HOME`."""
    chosen = os.environ.get("STARCHAT_CACHE")
    root = Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir(_APP))
    return root / "models"


def private_folder(path: Path) -> Path:
    """`path`, made where it was missing, with access for its owner alone.

    Raises:
        StorageError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise StorageError(
            f"The folder {path} cannot be used: {error.strerror}.", "Check its permissions, or set STARCHAT_HOME to another."
        ) from error
    return path


def _from_file() -> Mapping[str, Any]:
    import tomllib  # many commands read no settings

    path = settings_file()
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.", "Mend or remove the file.") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error


def _merge(settings: Settings, given: Mapping[str, Any], origin: str) -> Settings:
    known = {field.name for field in fields(Settings)}
    for key, value in given.items():
        if key not in known:
            raise SettingsError(f"{origin} sets the unknown key {key!r}.", f"Known keys: {', '.join(sorted(known))}.")
        settings = replace(settings, **{key: _checked(key, value, origin)})
    return settings


def _checked(key: str, value: object, origin: str) -> Any:  # noqa: ANN401 - the type depends on the key
    if key in _CHOICES:
        if value not in _CHOICES[key]:
            raise SettingsError(f"{origin} sets {key} to {value!r}.", f"Use one of {', '.join(_CHOICES[key])}.")
        return value
    if key in ("history", "project"):
        return _switch(key, value, origin)
    if key in ("threads", "idle_minutes"):
        return _number(key, value, origin)
    if key == "device" and not (isinstance(value, str) and _DEVICE.fullmatch(value)):
        raise SettingsError(
            f"{origin} sets device to {value!r}.", "Use auto, cpu, cuda, cuda:1 (with the GPU's number) or mps."
        )
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"{origin} sets {key} to {value!r}.", "It must be text.")
    return value


def _switch(key: str, value: object, origin: str) -> bool:
    switches = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    chosen = switches.get(str(value).strip().lower())
    if chosen is None:
        raise SettingsError(f"{origin} sets {key} to {value!r}.", "It must be true or false.")
    return chosen


def _number(key: str, value: object, origin: str) -> float | int:
    kind = int if key == "threads" else float
    lowest = 1 if key == "threads" else 0
    try:
        number = kind(str(value))
    except ValueError:
        number = -1
    if not lowest <= number < 1e6:
        raise SettingsError(f"{origin} sets {key} to {value!r}.", f"It must be a number of at least {lowest}.")
    return number
