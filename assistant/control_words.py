"""Names of control tokens that leak into a reply as text, such as `<|im_end|>` or `</s>`."""

from __future__ import annotations

import re

_NAME = r"(?:<\|[\w▁-]{1,40}\|>|</?s>|<(?:end|start)_of_turn>|<fim_\w+>)"
_LEADING = re.compile(rf"\A(?:\s*{_NAME})+[ \t]*")
_TRAILING = re.compile(rf"(?:\s*{_NAME})+\s*\Z")


def without_control_words(text: str) -> str:
    """`text` without control words at its beginning and end."""
    return without_trailing(_LEADING.sub("", text))


def without_trailing(text: str) -> str:
    """`text` without control words at its end and the white space around them; a newline before them stays."""
    found = _TRAILING.search(text)
    if not found:
        return text
    return text[: found.start()] + ("\n" if found.group().startswith(("\n", "\r")) else "")
