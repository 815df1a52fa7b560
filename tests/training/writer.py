"""Writes checkpoint after checkpoint until it is killed: `python writer.py FOLDER [LIMIT]`, LIMIT in bytes a file."""

import resource
import signal
import sys
from pathlib import Path

import numpy as np

from assistant.errors import StorageError
from training import checkpoints
from training.checkpoints import Manifest


def write(folder, step, numbers=50_000):
    partial = checkpoints.begin(folder, step)
    tensors = {"weight": np.full(numbers, float(step), dtype=np.float32)}
    seals = tuple(checkpoints.write_shard(partial, f"rank-0000{rank}.master.safetensors", tensors) for rank in range(2))
    checkpoints.commit(partial, Manifest(step, step, 2, {"weight": [2 * numbers]}, "data", {"seed": 1}, seals))
    checkpoints.prune(folder, 2, step)


def main():
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
    found = checkpoints.newest(folder)
    step = found[1].step if found else 0
    print("begin", step, flush=True)
    while True:
        step += 1
        try:
            write(folder, step)
        except StorageError as error:
            print(f"storage: {error}", flush=True)
            sys.exit(7)
        print("step", step, flush=True)


if __name__ == "__main__":
    main()
