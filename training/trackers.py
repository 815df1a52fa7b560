"""Where a run reports to besides TensorBoard: accelerate's trackers (wandb, mlflow and others) that the recipe names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from assistant.errors import UsageError
from training.config import Recipe
from training.reasons import brief


def check(recipe: Recipe) -> None:
    """Refuse a tracker that nobody knows or whose package is not installed, before the run begins.

    Raises:
        UsageError: naming the tracker and those that there are.
    """
    if not recipe.trackers:
        return
    accelerate = import_module("accelerate.tracking")
    available = {str(name) for name in accelerate.get_available_trackers()}
    for name in recipe.trackers:
        if name not in accelerate.LOGGER_TYPE_TO_CLASS:
            raise UsageError(
                f"There is no tracker {name!r}.", f"Use one of {', '.join(sorted(accelerate.LOGGER_TYPE_TO_CLASS))}."
            )
        if name not in available:
            raise UsageError(f"The tracker {name} needs its package.", f"Install {name} into the same environment.")


def begin(recipe: Recipe, folder: Path, warn: Callable[[str], None]) -> list[Any]:
    """The trackers of a run, started and told its recipe; called by rank 0 alone.  Of one that cannot be, `warn` is told."""
    begun = []
    for name in recipe.trackers:
        try:
            begun.append(_begun(name, recipe, folder))
        except Exception as error:
            # Other people's packages and services: without them the run is as good.
            warn(f"The tracker {name} cannot be started: {brief(error)}. The run goes on without it.")
    return begun


def _begun(name: str, recipe: Recipe, folder: Path) -> Any:  # noqa: ANN401 - of accelerate
    kind = import_module("accelerate.tracking").LOGGER_TYPE_TO_CLASS[name]
    tracker: Any = kind(recipe.name, str(folder)) if kind.requires_logging_directory else kind(recipe.name)
    # Only rank 0 is here; otherwise accelerate would set up ranks of its own to find that out.
    tracker.main_process_only = False
    tracker.start()
    tracker.store_init_configuration(_plain(asdict(recipe)))
    return tracker


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the types that trackers take."""
    return {key: value if isinstance(value, bool | int | float | str) else str(value) for key, value in values.items()}
