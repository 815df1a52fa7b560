"""Names that the user gave to models of their own: `models.json` in the assistant's folder."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assistant.errors import InputError, ModelError, UsageError
from assistant.models.catalogue import find, suggestion
from assistant.models.files import storage_errors, write_text
from assistant.models.safety import check_file, check_folder
from assistant.models.spec import Format
from assistant.settings import home

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

TEMPLATES = ("auto", "starchat", "chatml", "few-shot")


@dataclass(frozen=True, slots=True)
class Registered:
    """A model of the user's own.  `path` is its folder or GGUF file, `template` one of `TEMPLATES`."""

    name: str
    path: Path
    template: str = "auto"

    @property
    def format(self) -> Format:
        """What kind of files it is made of."""
        return "safetensors" if self.path.is_dir() else "gguf"


def add(path: Path, name: str | None = None, template: str = "auto") -> Registered:
    """Register a model folder or GGUF file, after it was found safe to open; the files stay where they are.

    Raises:
        InputError: there is nothing at `path`.
        ModelError: it is unsafe or damaged.
        UsageError: the name cannot be used.
    """
    place = path.expanduser().absolute()
    check_path(place)
    row = Registered(_free_name(name or place.stem), place, template)
    _write({**_table(), row.name: row})
    return row


def check_path(path: Path) -> None:
    """Make sure that a folder or file holds a model that is safe to open.

    Raises:
        InputError: there is nothing at `path`.
        ModelError: it is unsafe or damaged.
    """
    if not path.exists():
        raise InputError(f"There is no model at {path}.", "Check the path.")
    if path.is_dir():
        check_folder(path)
    else:
        check_file(path)


def registered() -> tuple[Registered, ...]:
    """All of them, by name.

    Raises:
        ModelError: the file cannot be read.
    """
    return tuple(row for _, row in sorted(_table().items()))


def lookup(name: str) -> Registered | None:
    """The model of that name, whatever its case."""
    return _table().get(name.casefold())


def forget(name: str) -> None:
    """Take a name back; the model's files stay.

    Raises:
        ModelError: there is no such name.
    """
    table = _table()
    if table.pop(name.casefold(), None) is None:
        raise ModelError(f"No model is called {name!r}.", suggestion(name, tuple(table)))
    _write(table)


def _free_name(name: str) -> str:
    lowered = name.casefold()
    if not _NAME.fullmatch(lowered):
        raise UsageError(f"A model cannot be called {name!r}.", "Give --name with letters, digits, dots and dashes.")
    if find(lowered):
        raise UsageError(f"The catalogue has a model called {name!r} already.", "Give another --name.")
    return lowered


def _file() -> Path:
    return home() / "models.json"


def _table() -> dict[str, Registered]:
    try:
        with storage_errors(_file().parent):
            text = _file().read_text(encoding="utf-8") if _file().exists() else '{"models": {}}'
        raw: dict[str, Any] = json.loads(text)["models"]
        return {name: Registered(name, Path(row["path"]), row["template"]) for name, row in raw.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{_file()} is no list of models: {type(error).__name__}.", "Mend or remove the file.") from error


def _write(table: dict[str, Registered]) -> None:
    rows = {name: asdict(row) for name, row in table.items()}
    write_text(_file(), json.dumps({"models": rows}, default=str, indent=1))
