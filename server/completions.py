"""What is remembered of one editor's inline completions, and how much of the text the model is shown for them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.fitting import Place

RECENT = 50
"""Completions that are remembered, the latest ones."""


@dataclass(frozen=True, slots=True)
class Window:
    """How much the model is shown: characters before the cursor, at most, and behind it."""

    before: int
    behind: int


WINDOWS = (Window(1000, 100), Window(2000, 300), Window(4000, 1500))
"""From narrow to wide.  What stands behind is read anew at each key, which a slow model cannot do with much of it."""

QUICK_SECONDS, SLOW_SECONDS = 0.2, 0.6
"""A model that answers in the first on end is shown more; one that takes the second is shown less."""

_QUICK_IN_A_ROW = 5


@dataclass(slots=True)
class Completions:
    """What is remembered of one editor's completions.

    asking: the task of the one that is being asked for.  recent: the latest ones.
    width: which of `WINDOWS` is shown.  quick: how many in a row have come quickly.
    """

    asking: asyncio.Task[Any] | None = None
    recent: dict[Place, str] = field(default_factory=dict)
    width: int = 1
    quick: int = 0

    @property
    def window(self) -> Window:
        """How much the model is shown now."""
        return WINDOWS[self.width]

    def took(self, seconds: float) -> None:
        """Show more to a quick model, and less to a slow one."""
        self.quick = self.quick + 1 if seconds <= QUICK_SECONDS else 0
        if seconds >= SLOW_SECONDS:
            self.width = max(0, self.width - 1)
        elif self.quick >= _QUICK_IN_A_ROW:
            self.quick, self.width = 0, min(len(WINDOWS) - 1, self.width + 1)
