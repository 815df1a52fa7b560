"""`notebookDocument/*`: each cell is a document of its own, so that every command works in a cell and edits only it."""

from __future__ import annotations

from lsprotocol import types

from server.session import Session


def did_open(session: Session, params: types.DidOpenNotebookDocumentParams) -> None:
    """Keep the text of all cells."""
    for item in params.cell_text_documents:
        session.documents.open(item.uri, item.language_id, item.version, item.text)
    session.warm_up()


def did_change(session: Session, params: types.DidChangeNotebookDocumentParams) -> None:
    """Follow cells that come, go, and are typed in."""
    cells = params.change.cells
    if cells is None:
        return
    for item in (cells.structure and cells.structure.did_open) or ():
        session.documents.open(item.uri, item.language_id, item.version, item.text)
    for gone in (cells.structure and cells.structure.did_close) or ():
        session.documents.close(gone.uri)
    for typed in cells.text_content or ():
        session.documents.change(typed.document.uri, typed.document.version, typed.changes)


def did_close(session: Session, params: types.DidCloseNotebookDocumentParams) -> None:
    """Forget the text of all cells."""
    for cell in params.cell_text_documents:
        session.documents.close(cell.uri)
