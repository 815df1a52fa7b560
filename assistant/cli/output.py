"""Output for programs (`--json`) and for those who want to see what is sent (`--show-context`)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from assistant.cli.terminal import print_text

if TYPE_CHECKING:
    from assistant.cli.session import Held
    from assistant.turn import Turn

CHARACTERS_PER_TOKEN = 3.5


def print_json(held: Held, **effects: dict[str, object]) -> None:
    """Print the answer as one JSON object: `{text, code, model, usage, finish_reason}`.

    `edit`, `file` or `commit` say what became of it.
    """
    answer = held.answer
    shown = {
        "text": answer.text,
        "code": answer.code,
        "model": held.model,
        "usage": answer.usage.as_openai(),
        "finish_reason": answer.finish_reason,
    }
    print(as_json({**shown, **effects}))


def as_json(value: object) -> str:
    """One line of JSON; of control characters also those beyond ASCII are escaped, which a terminal would obey."""
    return re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def print_context(turn: Turn) -> int:
    """Print each message that the model would be shown, and about how many tokens they have; asks nothing."""
    from assistant.turn import shown

    conversation = shown(turn)
    for message in conversation.messages:
        print_text(f"--- {message.role}\n{message.content}\n\n")
    characters = sum(len(message.content) for message in conversation.messages)
    print(f"--- about {characters / CHARACTERS_PER_TOKEN:,.0f} tokens; nothing was sent")
    return 0
