"""`generate()` with a static cache and torch.compile, in a process of its own that may be given up."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.engine_contestants import Folder, Timing
from benchmarks.engine_traffic import Task

COMPILED = "transformers bf16, compiled"

_PATIENCE = 420.0  # seconds for compiling, and for the task twice


def compiled(folder: Folder, task: Task) -> Timing | None:
    """The task's second run, so that what compiling takes is left out; None where that took too long."""
    asked = {"path": str(folder.path), "threads": folder.spec.threads, "task": {**asdict(task), "stops": sorted(task.stops)}}
    command = [sys.executable, "-m", "benchmarks.engine_compiled"]
    print(f"compiling for {COMPILED}, {_PATIENCE / 60:.0f} minutes at most", flush=True)
    try:
        done = subprocess.run(
            command, check=False, input=json.dumps(asked), text=True, stdout=subprocess.PIPE, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        print(f"{COMPILED}: given up", flush=True)
        return None
    if done.returncode:
        return None
    raw = json.loads(done.stdout.splitlines()[-1])
    print(f"{COMPILED}: {(len(raw['ids']) - 1) / (raw['whole'] - raw['first']):.1f} tok/s", flush=True)
    return Timing(**{**raw, "ids": tuple(raw["ids"])})


def _main() -> None:
    from transformers.generation.configuration_utils import CompileConfig

    asked: dict[str, Any] = json.loads(sys.stdin.read())
    raw = asked["task"]
    task = Task(raw["name"], tuple(raw["prompt"]), raw["tokens"], stops=frozenset(raw["stops"]))
    compiling: Any = CompileConfig(fullgraph=False, mode="default")
    compiling._compile_all_devices = True
    folder = Folder(Path(asked["path"]), asked["threads"])
    run = folder.generate("none", "bfloat16", cache_implementation="static", compile_config=compiling)
    run(task)
    print(json.dumps(asdict(run(task))))


if __name__ == "__main__":
    _main()
