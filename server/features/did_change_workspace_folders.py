"""`workspace/didChangeWorkspaceFolders`."""

from __future__ import annotations

from lsprotocol import types

from server.session import Session


def did_change_workspace_folders(session: Session, params: types.DidChangeWorkspaceFoldersParams) -> None:
    """Follow which folders belong to the workspace."""
    gone = {folder.uri.rstrip("/") for folder in params.event.removed}
    kept = [uri for uri in session.folders if uri.rstrip("/") not in gone]
    session.folders = (*kept, *(folder.uri for folder in params.event.added))
