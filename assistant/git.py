"""git, asked so that it reads, fetches nothing and starts nothing that a repository names."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from assistant.errors import InputError
from assistant.settings import home

SECONDS = 60.0

PLAIN_DIFF = (
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-relative",
    "--find-renames",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)
"""Options of git diff under which the headers have one form, whatever the configuration says, and no program is started."""

_NONE: Mapping[str, str] = MappingProxyType({})


def ask(
    folder: Path, *arguments: str, stdin: bytes = b"", settings: Mapping[str, str] = _NONE
) -> subprocess.CompletedProcess[bytes]:
    """What git answers in `folder`, however it ends; `settings` stand above all that it reads.

    Raises:
        InputError: there is no git, or it takes longer than `SECONDS`.
    """
    command = [program(), "-C", str(folder.absolute()), "--no-pager", *arguments]
    try:
        return subprocess.run(
            command,
            cwd=home() if home().is_dir() else "/",
            env={**_reading_environment(settings), "LC_ALL": "C"},
            input=stdin,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"git did not answer within {SECONDS:.0f} seconds.", "Attach single files.") from error


def program() -> str:
    """Where git is.

    Raises:
        InputError: there is none.
    """
    found = shutil.which("git")
    if found is None:
        raise InputError("There is no git on this machine.", "Install it.")
    return found


def _reading_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """An environment in which git reads, fetches nothing and starts nothing; with `settings` above all that it has read.

    They go into the environment, since `-c` cannot express a name that has an equals sign in it.

    Raises:
        InputError: the environment has settings for git already, and does not say how many.
    """
    settings = {"core.fsmonitor": "false", "core.hooksPath": os.devnull, "core.quotePath": "false", **settings}
    present = os.environ.get("GIT_CONFIG_COUNT") or "0"
    if not present.isdecimal():
        raise InputError(f"GIT_CONFIG_COUNT is {present[:40]!r}, which is no number.", "Unset it.")
    added: dict[str, str] = {}
    for place, (key, value) in enumerate(settings.items(), int(present)):
        added |= {f"GIT_CONFIG_KEY_{place}": key, f"GIT_CONFIG_VALUE_{place}": value}
    return {
        **os.environ,
        **added,
        "GIT_CONFIG_COUNT": str(int(present) + len(settings)),
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "",
    }
