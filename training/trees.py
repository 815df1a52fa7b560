"""OpenAssistant message trees: every path from the root to a leaf is a dialogue.

Format: the OpenAssistant export, one tree a line, `{"message_tree_id": …, "prompt": {"text", "role", "replies": […]}}`, with
the roles `prompter` and `assistant`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_ROLES = {"prompter": "user", "assistant": "assistant"}


def is_tree(row: Mapping[str, Any]) -> bool:
    """Whether a row holds a message tree."""
    return isinstance(row.get("prompt"), Mapping)


def paths(row: Mapping[str, Any]) -> list[list[dict[str, str]]]:
    """The tree's dialogues as lists of `{"role", "content"}`; deleted messages end a path, final user turns are left off.

    Raises:
        ValueError: a message lacks its text or its role.
    """
    found: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for path in _descend(row["prompt"], []):
        while path and path[-1]["role"] == "user":
            path.pop()
        if path:
            found[tuple(message["content"] for message in path)] = path
    return [path for key, path in found.items() if not _continued(key, found)]


def identity(row: Mapping[str, Any]) -> str:
    """The tree's name, by which its paths stay on one side of the split."""
    return str(row.get("message_tree_id") or row["prompt"].get("message_id") or row["prompt"].get("text"))


def languages(row: Mapping[str, Any]) -> str | None:
    """The language that the tree's first message says it is in."""
    said = row["prompt"].get("lang")
    return said if isinstance(said, str) else None


def _descend(message: Any, above: list[dict[str, str]]) -> Iterator[list[dict[str, str]]]:  # noqa: ANN401 - whatever JSON holds
    if not isinstance(message, Mapping):
        raise ValueError(f"a message of the tree is a {type(message).__name__}, not an object")  # noqa: TRY004 - of the data, not of the code
    if message.get("deleted"):
        yield list(above)
        return
    role, text = message.get("role"), message.get("text")
    if role not in _ROLES or not isinstance(text, str):
        raise ValueError(f"a message of the tree has role {role!r} and text of type {type(text).__name__}")
    path = [*above, {"role": _ROLES[role], "content": text}]
    replies = message.get("replies") or []
    if not isinstance(replies, list):
        raise ValueError(f"the replies of a message are a {type(replies).__name__}, not a list")  # noqa: TRY004 - of the data, not of the code
    if not replies:
        yield path
    for reply in replies:
        yield from _descend(reply, path)


def _continued(key: tuple[str, ...], found: Mapping[tuple[str, ...], object]) -> bool:
    """Whether a longer path begins with this one, as happens where a final user turn was left off."""
    return any(len(other) > len(key) and other[: len(key)] == key for other in found)
