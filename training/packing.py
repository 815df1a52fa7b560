"""Whole dialogues into blocks of a fixed length, with as little padding as possible."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence


def pack(lengths: Sequence[int], block: int) -> list[list[int]]:
    """Indices of dialogues, grouped into blocks of at most `block` tokens; every index appears exactly once.

    Best fit, longest first: each dialogue goes where the least room is left over (Ding et al., "Fewer Truncations Improve
    Language Modeling", 2024).  O(n log n) in the number of dialogues, for the distinct amounts of room are at most `block`.

    Raises:
        ValueError: a dialogue is empty or longer than a block.
    """
    blocks: list[list[int]] = []
    by_room: dict[int, list[int]] = {}
    rooms: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda one: (-lengths[one], one)):
        if not 0 < lengths[index] <= block:
            raise ValueError(f"dialogue {index} has {lengths[index]} tokens, a block {block}")
        place = bisect_left(rooms, lengths[index])
        if place < len(rooms):
            room = rooms[place]
            chosen = by_room[room].pop()
            if not by_room[room]:
                del rooms[place], by_room[room]
        else:
            room, chosen = block, len(blocks)
            blocks.append([])
        blocks[chosen].append(index)
        _leave(room - lengths[index], chosen, by_room, rooms)
    return blocks


def _leave(room: int, chosen: int, by_room: dict[int, list[int]], rooms: list[int]) -> None:
    if room == 0:
        return
    if room not in by_room:
        by_room[room] = []
        insort(rooms, room)
    by_room[room].append(chosen)
