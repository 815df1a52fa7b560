"""Taking back what a command did: the last edit, or the last new file, unless it was changed since."""

from __future__ import annotations

from assistant.errors import NoEdit
from server.applying import apply
from server.creating import NewFile, remove
from server.session import Session


async def undo(session: Session, uri: str) -> str:
    """Take the last effect on `uri` (or, where that is empty, the last of all) back; returns a sentence that says so.

    Raises:
        EditConflict: what was written has been changed since.
        NoEdit: there is nothing to take back, or the editor would not.
        StorageError: a new file cannot be removed.
    """
    place = next((n for n in reversed(range(len(session.done))) if uri in ("", session.done[n].uri)), None)
    if place is None:
        raise NoEdit("There is no edit of the assistant's to take back.", "Use the editor's own undo.")
    done = session.done.pop(place)  # at once: whoever undoes again meanwhile means the one before
    try:
        if isinstance(done, NewFile):
            return await remove(session, done)
        return (await apply(session, done, undoing=True)).replace("Applied", "Taken back")
    except BaseException:
        session.done.insert(place, done)
        raise
