"""`textDocument/inlineCompletion`."""

from __future__ import annotations

import asyncio

from lsprotocol import types

from server.positions import to_offset
from server.session import Session


async def inline_completion(session: Session, params: types.InlineCompletionParams) -> types.InlineCompletionList:
    """What fits at the cursor; the request before, which is about a text that is gone, is cancelled."""
    from server.completing import complete, place_of

    if session.completions.asking is not None:
        session.completions.asking.cancel()
    session.completions.asking = asyncio.current_task()
    document, cursor = session.documents.get(params.text_document.uri), params.position
    if document is None or not document.in_step or cursor.line >= len(document.lines):
        return types.InlineCompletionList([])
    offset = to_offset(document.lines[cursor.line], cursor.character, session.client.encoding)
    place = place_of(document, cursor.line, offset, session.completions.window)
    invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
    text = await complete(session, place, at_once=invoked)
    here = types.Range(cursor, cursor)
    return types.InlineCompletionList([types.InlineCompletionItem(text, range=here)] if text else [])
