"""How often a host died lately, so that one that cannot live is not started for ever."""

from __future__ import annotations

import json
import time

from assistant.address import host_file, replace_private
from assistant.errors import HostError

RESTARTS = 5
WINDOW_SECONDS = 180.0


def note(key: str) -> None:
    """Write down that the host of `key` has died.  The caller holds the start lock."""
    replace_private(host_file(key, "crashes"), json.dumps([*recent(key), time.time()]))


def recent(key: str) -> list[float]:
    """When the host of `key` died, as Unix times within the last `WINDOW_SECONDS`."""
    try:
        times = json.loads(host_file(key, "crashes").read_text(encoding="utf-8"))
        return [float(moment) for moment in times if 0 <= time.time() - moment < WINDOW_SECONDS]
    except (OSError, ValueError, TypeError):
        return []


def refuse_if_too_many(key: str) -> None:
    """Do nothing while a restart is allowed.

    Raises:
        HostError: there were `RESTARTS` restarts within `WINDOW_SECONDS`, and the host died again.
    """
    times = recent(key)
    if len(times) > RESTARTS:
        wait = WINDOW_SECONDS - (time.time() - times[-RESTARTS - 1])
        raise HostError(
            f"The model host died {len(times)} times within {WINDOW_SECONDS:.0f} seconds, and is not started again for now.",
            f"Wait {wait:.0f} seconds, or choose a smaller model with -m; its log is {host_file(key, 'log')}.",
        )
