"""Where a model host listens, as a small file that the host writes and front ends read."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from assistant import __version__
from assistant.errors import StorageError
from assistant.settings import home, hosts_folder
from assistant.wire import PROTOCOL

_SHARED = ("address.py", "conversation.py", "errors.py", "template.py", "wire.py", "settings.py", "models/spec.py")


@dataclass(frozen=True, slots=True)
class HostRecord:
    """A running host: its address, and what a front end compares before it speaks to it.

    key: the `ModelSpec.key` that it serves; it names every file of the host.
    socket: path of its Unix socket, or None where it listens on loopback TCP at `port` and asks for `token`.
    started: Unix time in seconds.
    """

    key: str
    model: str
    pid: int
    started: float
    socket: str | None = None
    port: int | None = None
    token: str | None = None
    protocol: int = PROTOCOL
    version: str = __version__
    build: str = ""

    @property
    def url(self) -> str:
        """Base URL for HTTP; over a Unix socket its name has no meaning."""
        return f"http://127.0.0.1:{self.port}" if self.socket is None else "http://localhost"

    @property
    def is_ours(self) -> bool:
        """Whether the host runs the same code as this front end, so that the two understand each other."""
        return (self.protocol, self.version, self.build) == (PROTOCOL, __version__, build())


def host_file(key: str, ending: str) -> Path:
    """A file of the host `key`: `json` (address), `lock`, `start.lock`, `spec`, `log`, `out`, `crashes`."""
    return home() / "hosts" / f"{key}.{ending}"


def read(key: str) -> HostRecord | None:
    """The record of the host `key`; None where there is none, or none that can be read."""
    try:
        raw: dict[str, Any] = json.loads(host_file(key, "json").read_text(encoding="utf-8"))
        return HostRecord(**raw)
    except (OSError, ValueError, TypeError):
        return None


def write(record: HostRecord) -> None:
    """Write the record in one step, readable by the user alone."""
    replace_private(host_file(record.key, "json"), json.dumps(asdict(record)))


def remove(record: HostRecord) -> None:
    """Remove the record and its socket, unless another host has taken the place meanwhile."""
    current = read(record.key)
    if current is None or current.pid == record.pid:
        host_file(record.key, "json").unlink(missing_ok=True)
        remove_socket(record)


def remove_socket(record: HostRecord) -> None:
    """Remove the socket of a host that has ended, where it had one."""
    if record.socket:
        with suppress(OSError):
            Path(record.socket).unlink()


def known_keys() -> list[str]:
    """The keys of all hosts that have written down an address.

    Raises:
        StorageError: our folder may not be read.
    """
    folder = home() / "hosts"
    try:
        return sorted(path.stem for path in folder.glob("*.json") if path.exists())
    except OSError as error:
        raise StorageError(f"{folder} cannot be read: {error.strerror}.", "Check its permissions.") from error


def replace_private(path: Path, text: str) -> None:
    """Write `text` to a host's file in one step, with access for its owner alone.

    Raises:
        StorageError: the disk is full, or the folder cannot be written to; nothing half written is left.
    """
    hosts_folder()
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StorageError(
            f"{path} cannot be written: {error.strerror}.",
            "Free some disk space and check the folder's permissions, or set STARCHAT_HOME to another folder.",
        ) from error


@cache
def build() -> str:
    """Twelve hex digits of the code that runs inside a host: two installations of the same code share their hosts."""
    package = Path(__file__).parent
    files = [package / name for name in _SHARED] + sorted((package / "hosting").rglob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]
