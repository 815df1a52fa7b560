"""What a finished model owes to its base: a name without paths, a licence, restrictions and the papers that go with them."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.config import Recipe

CARD = "README.md"
# The part of our own cards that is handed on from model to model; other cards call it much the same.
SECTION = "## Licences"
_HEADING = re.compile(r"(#{1,3}) +licen[cs](?:e|es|ing)\b", re.IGNORECASE)
_LINES = 40

_OPENRAIL = (
    "Its use restrictions (attachment A of the licence) bind every user and have to be passed on with the model and with "
    "anything derived from it."
)
_RESTRICTIONS = {"bigcode-openrail-m": _OPENRAIL, "openrail": _OPENRAIL, "bigscience-openrail-m": _OPENRAIL}
# The hub's names for the licences of the bases that the recipes name, so that a card needs no network.
_KNOWN = {"bigcode/": "bigcode-openrail-m"}
# Files that licences ask to be handed on with the weights.
_PAPERS = ("LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*", "COPYING*")


@dataclass(frozen=True, slots=True)
class Base:
    """The model that a run started from, as its card names it.

    name: a hub id, or the title of a local folder's card; empty for a model from scratch.  ancestor: the hub id that the card's
    metadata may name, or empty.  licence: an identifier of the hub; `other` where none is stated.  name_and_link: the metadata
    that the hub wants beside `other`.  said: what the base's own card says of licences, lines without headings.
    """

    name: str = ""
    ancestor: str = ""
    licence: str = "other"
    name_and_link: tuple[tuple[str, str], ...] = ()
    said: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Which licence applies, and whom it binds."""
        if not self.name:
            return "Base model: none, trained from scratch."
        if self.licence == "other" and not self.name_and_link:
            found = "what its card says of it stands below" if self.said else "it was not found beside its weights"
            return f"Base model: {self.name}. Its licence applies to this model too; {found}."
        licence = dict(self.name_and_link).get("license_name", self.licence)
        restrictions = next((_RESTRICTIONS[one] for one in licence.split(", ") if one in _RESTRICTIONS), "")
        return f"Base model: {self.name}. Its licence, {licence}, applies to this model too. {restrictions}".rstrip()


def base_of(recipe: Recipe) -> Base:
    """What is known of the recipe's base: from the folder's own card, from the hub's, or of the well-known ones by name."""
    if not recipe.base:
        return Base()
    folder = Path(recipe.base)
    known = next((licence for prefix, licence in _KNOWN.items() if recipe.base.startswith(prefix)), "")
    if not folder.is_dir():
        return Base(recipe.base, recipe.base, known) if known else _read(_card(recipe.base), recipe.base, recipe.base)
    card = _card(folder / CARD)
    said = str(_first(_data(card).get("base_model")) or "")
    return _read(card, _title(card) or folder.resolve().name, said if re.fullmatch(r"[\w.-]+/[\w.-]+", said) else "")


def licence_of_data(source: str) -> str:
    """What the card of a folder or hub data set says, for rows that say nothing themselves; `unknown` where it does not."""
    folder = Path(source)
    if not folder.is_dir() and (folder.exists() or "/" not in source):
        return "unknown"
    card = _card(folder / CARD) if folder.is_dir() else _card(source, "dataset")
    return _listed(_data(card).get("license")) or "unknown"


def hand_on(recipe: Recipe, model: Path) -> None:
    """Copy the licence texts that lie beside a local base into the finished model."""
    folder = Path(recipe.base)
    if not recipe.base or not folder.is_dir():
        return
    for path in sorted(found for pattern in _PAPERS for found in folder.glob(pattern) if found.is_file()):
        shutil.copyfile(path, model / path.name)


def _read(card: Any, name: str, ancestor: str) -> Base:  # noqa: ANN401 - a model card of the hub, or None
    data = _data(card)
    licence = _listed(data.get("license")) or "other"
    if ", " in licence:  # the hub has no name for several at once
        return Base(name, ancestor, "other", (("license_name", licence),), _section(card))
    named = tuple((key, str(data[key])) for key in ("license_name", "license_link") if data.get(key))
    return Base(name, ancestor, licence, named if licence == "other" else (), _section(card))


def _card(where: Path | str, kind: str = "model") -> Any | None:  # noqa: ANN401 - a card of the hub
    from huggingface_hub import DatasetCard, ModelCard

    reader = DatasetCard if kind == "dataset" else ModelCard
    try:
        if isinstance(where, Path) and not where.is_file():
            return None
        return reader.load(where, ignore_metadata_errors=True)
    except Exception:
        # The card is text that anybody wrote, or behind a network: without it the licence is not known, and that is said.
        return None


def _data(card: Any) -> dict[str, Any]:  # noqa: ANN401 - a model card of the hub, or None
    return dict(card.data.to_dict()) if card is not None else {}


def _first(value: Any) -> Any:  # noqa: ANN401 - whatever YAML holds
    return (value[0] if value else None) if isinstance(value, list) else value


def _listed(value: Any) -> str:  # noqa: ANN401 - whatever YAML holds
    """One name or several, on one line."""
    return ", ".join(" ".join(str(one).split()) for one in (value if isinstance(value, list) else [value]) if one)


def _title(card: Any) -> str:  # noqa: ANN401 - a model card of the hub, or None
    lines = card.text.splitlines() if card is not None else []
    return next((line.removeprefix("# ").strip() for line in lines if line.startswith("# ")), "")


def _section(card: Any) -> tuple[str, ...]:  # noqa: ANN401 - a model card of the hub, or None
    """The lines of a card's section on licences, without the headings in it."""
    lines = card.text.splitlines() if card is not None else []
    start, depth = next(((at + 1, len(found[1])) for at, line in enumerate(lines) if (found := _HEADING.match(line))), (0, 0))
    if not depth:
        return ()
    rest = lines[start:]
    end = next((at for at, line in enumerate(rest) if 0 < len(line) - len(line.lstrip("#")) <= depth), len(rest))
    kept = [line for line in rest[:end] if line.strip() and not line.startswith("#")]
    more = [f"({len(kept) - _LINES} more lines are left out here.)"] if len(kept) > _LINES else []
    return tuple(kept[:_LINES] + more)
