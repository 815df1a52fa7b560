"""Starting the host's process, cut loose from everything around it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

from assistant.address import host_file, replace_private
from assistant.errors import HostError
from assistant.models.spec import ModelSpec
from assistant.settings import home

_NOT_PASSED_ON = ("STARCHAT_API_KEY",)
_NOISE = (" ", "\t", "File ", "Current thread", "Thread ", "Extension modules", "Traceback", "<")


class Spawned:
    """A host's process that was started here; a thread waits for it, so that it leaves no zombie behind."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        threading.Thread(target=process.wait, name="host", daemon=True).start()

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.returncode is not None

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.returncode


def spawn(spec: ModelSpec, idle_minutes: float) -> Spawned:
    """Start a host for `spec`: its own session, no terminal, no inherited files, a folder of ours, no PYTHON* variables.

    Raises:
        HostError: the operating system refuses.
    """
    replace_private(host_file(spec.key, "spec"), spec.to_json())
    output = host_file(spec.key, "out")
    replace_private(output, "")
    command = [sys.executable, "-P", "-m", "assistant.hosting"]
    command += ["--spec", str(host_file(spec.key, "spec")), "--idle-minutes", str(idle_minutes)]
    try:
        with output.open("ab") as file:
            process = subprocess.Popen(
                command, cwd=output.parent, env=environment(), stdin=subprocess.DEVNULL, stdout=file, stderr=file, **_detached()
            )
    except OSError as error:
        raise HostError(
            f"The model host cannot be started: {error.strerror}.", "Check that Python is still installed."
        ) from error
    return Spawned(process)


def environment() -> dict[str, str]:
    """The host's environment: ours without what could change which code Python runs, and without keys it has no use for."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith("PYTHON") and name not in _NOT_PASSED_ON
    }
    if "STARCHAT_HOME" in kept:
        kept["STARCHAT_HOME"] = str(home())  # the host's working directory is another
    return kept


def last_words(key: str, status: int | None = None) -> str:
    """The last line that says something, of what the host printed before it served or as it died; and how it died."""
    try:
        lines = host_file(key, "out").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    fatal = [line for line in lines if line.startswith("Fatal Python error")]
    spoken = fatal or [line for line in lines if line.strip() and not line.startswith(_NOISE)]
    if spoken:
        return spoken[-1].strip()[:300].rstrip(".") + "."
    if status is not None and status < 0:
        return f"it was ended by {signal.Signals(-status).name}, possibly for want of memory."
    return "it said nothing, as one that is killed for want of memory." if status is None else f"it ended with status {status}."


def _detached() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}
