"""How many rounds a test of a promise takes: `STARCHAT_SCALE` times the full count, 1/20 unless told otherwise."""

from __future__ import annotations

import os
import threading
import time


def rounds(full: int) -> int:
    """The rounds of this run; `STARCHAT_SCALE=1` takes all."""
    return max(1, round(full * float(os.environ.get("STARCHAT_SCALE", "0.05"))))


class SpinLoop:
    """Measures in a thread how late this machine wakes anybody, so that latencies can be judged on a busy one."""

    def __enter__(self) -> SpinLoop:
        self._late: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def worst(self) -> float:
        """Seconds by which the latest waking was late."""
        return max(self._late, default=0.0)

    def _spin(self) -> None:
        while not self._stop.is_set():
            begun = time.perf_counter()
            time.sleep(0.002)
            self._late.append(time.perf_counter() - begun - 0.002)


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of all values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
