"""Where model hosts keep computed beginnings of conversations, and how they are forgotten.

They are private text, as the history is: kept only where the history is, and erased with it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from assistant.errors import SettingsError, StorageError
from assistant.settings import home, load


def prefixes_folder() -> Path:
    """The folder, which need not exist."""
    return home() / "prefixes"


def may_be_kept() -> bool:
    """Whether conversations may be kept on disk just now: not where settings switch the history off, or cannot be read."""
    try:
        return load().history
    except SettingsError:
        return False


def forget() -> None:
    """Remove all of them; running hosts go on without.

    Raises:
        StorageError: some could not be removed.
    """
    try:
        shutil.rmtree(prefixes_folder())
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(
            f"{prefixes_folder()} cannot be removed: {error.strerror}.", "Check its permissions, or remove it yourself."
        ) from error
