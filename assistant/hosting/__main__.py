"""The host's process: `python -P -m assistant.hosting --spec FILE`, started by `assistant.host`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from assistant.address import host_file
from assistant.errors import AssistantError
from assistant.hosting.silence import remember_fatal_errors
from assistant.models.spec import ModelSpec

LOCK_SECONDS = 5.0
"""How long a host waits for the lock; a front end that looks whether a host lives holds it for an instant."""


def main() -> int:
    """Serve one model until it has been idle, is told to stop, or its folder is gone."""
    arguments = _arguments()
    spec = ModelSpec.from_json(arguments.spec.read_text(encoding="utf-8"))
    os.umask(0o077)
    os.chdir(host_file(spec.key, "lock").parent)
    lock = FileLock(host_file(spec.key, "lock"), mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        print("Another host already serves this model.", file=sys.stderr)
        return 0
    remember_fatal_errors(spec.key)
    from assistant.hosting.serving import serve

    asyncio.run(serve(spec, arguments.idle_minutes * 60))
    # An engine's thread that does not come back must not keep the process, and the lock goes with it.
    os._exit(0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="assistant.hosting", description=__doc__)
    parser.add_argument("--spec", type=Path, required=True, help="file with the model's description")
    parser.add_argument("--idle-minutes", type=float, default=30.0, help="end after so long without a request; 0 is never")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AssistantError as error:
        sys.exit(str(error))
