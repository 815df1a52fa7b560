"""What a host's libraries print: kept while it loads, thrown away once there is a user's text that they could quote."""

from __future__ import annotations

import faulthandler
import os

from assistant.address import host_file


def remember_fatal_errors(key: str) -> None:
    """Have Python write where it was into `KEY.out` when the process dies of a fault; that names code, never content."""
    faulthandler.enable(os.open(host_file(key, "out"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))


def fall_silent() -> None:
    """From now on standard output and error lead nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
