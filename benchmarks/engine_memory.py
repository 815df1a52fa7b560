"""What a process takes that loads one model: asked on standard input, told on standard output."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

from assistant.models.spec import ModelSpec


def _main() -> None:
    spec = ModelSpec.from_json(sys.stdin.read())
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], _gigabytes("RssAnon"))

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    engine = _opened(spec)
    done.set()
    watching.join()
    print(json.dumps({"peak": peak[0], "held": _gigabytes("VmRSS"), "window": engine.info.context_length}))


def _opened(spec: ModelSpec) -> Any:
    if spec.format == "gguf":
        from assistant.hosting import llama_engine

        return llama_engine.open(spec, lambda _: None)
    from assistant.hosting import torch_engine

    return torch_engine.open(spec, lambda _: None)


def _gigabytes(name: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e9
    return 0.0


if __name__ == "__main__":
    _main()
