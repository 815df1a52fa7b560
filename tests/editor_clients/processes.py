"""The processes that an editor started."""

from __future__ import annotations

from pathlib import Path


def server_process(home: Path) -> int:
    """The process of the one language server with this `STARCHAT_HOME`; 0 where there is none, or more."""
    found = [int(each.parent.name) for each in Path("/proc").glob("[0-9]*/environ") if _is_server(each, home)]
    return found[0] if len(found) == 1 else 0


def _is_server(environ: Path, home: Path) -> bool:
    try:
        mine = f"STARCHAT_HOME={home}\0".encode() in environ.read_bytes()
        return mine and b"assistant-server" in (environ.parent / "cmdline").read_bytes()
    except OSError:
        return False
