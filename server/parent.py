"""Ending when the editor has ended without closing our standard input, which another of its children may hold open."""

from __future__ import annotations

import os
import sys
import threading
import time

EVERY = 1.0
"""Seconds between two looks."""


def watch(process_id: int) -> None:
    """End this process when `process_id` is gone."""
    if sys.platform == "win32":
        return  # os.kill(…, 0) would end it there; standard input closes with its owner
    ours = os.getppid() == process_id
    threading.Thread(target=_watch, args=(process_id, ours), name="parent", daemon=True).start()


def _watch(process_id: int, ours: bool) -> None:
    while _lives(process_id) and not (ours and os.getppid() != process_id):
        time.sleep(EVERY)
    os._exit(1)  # from a thread nothing gentler ends the process; model hosts see their connections close


def _lives(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # a process of somebody else's, or no number of a process
        return True
    return True
