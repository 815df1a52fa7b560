"""Options as the editor sends them, and the settings that they amount to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from assistant import settings
from assistant.errors import SettingsError
from assistant.settings import Settings

SECTION = "starchat"


@dataclass(frozen=True, slots=True)
class Options:
    """What stands under `starchat.` in the editor's settings; None where it says nothing.

    model, quantization, device, endpoint, few_shot, threads, idle_minutes, history, project: as in
        `assistant.settings.Settings`.
    confirm_edits: whether the client is to ask before it makes an edit, where it can.
    targets: the languages that translating offers.
    """

    model: str | None = None
    quantization: str | None = None
    device: str | None = None
    endpoint: str | None = None
    few_shot: str | None = None
    threads: int | None = None
    idle_minutes: float | None = None
    history: bool | None = None
    project: bool | None = None
    confirm_edits: bool = False
    targets: tuple[str, ...] = ()


def speaks(raw: object) -> bool:
    """Whether there is anything for us in a table of settings, be it that nothing is set."""
    return isinstance(raw, Mapping) and (SECTION in raw or any(key in _KEYS for key in _flat(raw)))


def received(raw: object) -> Options:
    """Options from `initializationOptions`, `didChangeConfiguration` or a reply to `workspace/configuration`.

    Both `{"starchat": {"model": …}}` and `{"model": …}` are understood; keys that we do not know are passed over.

    Raises:
        SettingsError: a value is of the wrong type.
    """
    table = raw.get(SECTION, raw) if isinstance(raw, Mapping) else {}
    options = Options()
    for key, value in _flat(table).items():
        if key in _KEYS and value not in (None, ""):
            options = replace(options, **{_KEYS[key]: _checked(key, value)})
    return options


def resolve(options: Options) -> Settings:
    """The settings in force: the editor's before the environment's, those before the settings file's.

    Raises:
        SettingsError: one of them cannot be used.
    """
    known = {field.name for field in fields(Settings)}
    given = {field.name: getattr(options, field.name) for field in fields(options) if field.name in known}
    resolved = settings.load(given)
    if options.model and not options.endpoint:
        from assistant.models.prepare import is_remote

        if is_remote(options.model):
            return replace(resolved, endpoint=options.model, model=None)
    return resolved


_KEYS = {
    "model": "model",
    "quantization": "quantization",
    "device": "device",
    "endpoint": "endpoint",
    "fewShot": "few_shot",
    "threads": "threads",
    "idleMinutes": "idle_minutes",
    "history": "history",
    "project": "project",
    "edits.confirm": "confirm_edits",
    "translate.targets": "targets",
}


def _flat(table: object, prefix: str = "") -> dict[str, Any]:
    """`{"edits": {"confirm": true}}` as `{"edits.confirm": true}`."""
    found: dict[str, Any] = {}
    for key, value in table.items() if isinstance(table, Mapping) else ():
        name = f"{prefix}{key}".removeprefix(f"{SECTION}.")
        found |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found


def _checked(key: str, value: object) -> Any:  # noqa: ANN401 - the type depends on the key
    wanted, right = _TYPES.get(key, ("text", _is_text))
    if not right(value):
        raise SettingsError(f"The editor sets starchat.{key} to {value!r}.", f"It must be {wanted}.")
    return tuple(value) if isinstance(value, list) else value


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "threads": ("a number", _is_number),
    "idleMinutes": ("a number", _is_number),
    "history": ("true or false", lambda value: isinstance(value, bool)),
    "project": ("true or false", lambda value: isinstance(value, bool)),
    "edits.confirm": ("true or false", lambda value: isinstance(value, bool)),
    "translate.targets": ("a list of names", lambda value: isinstance(value, list) and all(isinstance(x, str) for x in value)),
}
