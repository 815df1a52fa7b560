"""`starchat/edit/apply`: code that the user picked from an answer becomes an edit, after the editor has shown it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lsprotocol import types

from server.session import Session


@dataclass(frozen=True, slots=True)
class Picked:
    """The parameters: code, and the document and lines that it belongs to; without a range, wherever in it the code fits."""

    uri: str
    code: str
    range: types.Range | None = None


async def apply_code(session: Session, params: Picked) -> dict[str, Any]:
    """Find its place as for an answer to a command, have it confirmed and made; nothing is asked of a model."""
    from assistant.edits import region_of, rewrite
    from assistant.errors import EditConflict, NoEdit
    from server.applying import Proposal, apply
    from server.failures import said
    from server.files import lines_of, source

    then = source(session, params.uri)
    region = region_of(then.document, lines_of(then.document.text, params.range))
    try:
        plan = rewrite(then.document, region, params.code)
        proposal = Proposal("Code of an answer", then.uri, plan, region, then.document.text, confirm=True)
        return {"outcome": "applied", "reason": await apply(session, proposal)}
    except (NoEdit, EditConflict) as error:
        return {"outcome": "conflict" if isinstance(error, EditConflict) else "no_edit", "reason": said(error)}
