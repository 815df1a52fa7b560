"""Our text equals the editor's, whatever is typed."""

from __future__ import annotations

import random

import pytest
from lsprotocol import types

from assistant.lines import line_starts, split_lines
from server.documents import Documents
from server.positions import ENCODINGS, Encoding, choose, position_of, to_offset, to_units
from tests.scale import rounds

ALPHABET = ["a", "é", "漢", "𝒳", "\t", "\n", "\r\n", "\r", "\u2028", "\x0c", "\x85", "\ufeff", " ", "b\n"]


def units(text: str, encoding: Encoding) -> int:
    codec = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}[encoding]
    return len(text.encode(codec)) // {"utf-8": 1, "utf-16": 2, "utf-32": 4}[encoding]


def editor_position(text: str, offset: int, encoding: Encoding) -> types.Position:
    """Line and character as an editor counts them, told from the text before; never between `\\r` and `\\n`."""
    before = split_lines(text[:offset])
    line = len(before) - 1 if before and not before[-1].endswith(("\n", "\r")) else len(before)
    start = sum(map(len, before[:line]))
    return types.Position(line, units(text[start:offset], encoding))


def inside_a_line_end(text: str, offset: int) -> bool:
    return text[offset - 1 : offset + 1] == "\r\n" and offset > 0


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_random_edits(encoding: Encoding) -> None:
    chance = random.Random(f"{encoding} 42")
    documents = Documents()
    documents.encoding = encoding
    text = "".join(chance.choices(ALPHABET, k=30))
    documents.open("u", "python", 0, text)
    for version in range(1, rounds(100_000) // 3):
        start, end = sorted(chance.randrange(len(text) + 1) for _ in range(2))
        start, end = (place - inside_a_line_end(text, place) for place in (start, end))
        new = "".join(chance.choices(ALPHABET, k=chance.randrange(6)))
        where = types.Range(editor_position(text, start, encoding), editor_position(text, end, encoding))
        documents.change("u", version, [types.TextDocumentContentChangePartial(where, new)])
        text = text[:start] + new + text[end:]
        assert documents.get("u").text == text
        if len(text) > 120:
            text = text[:40]
            documents.open("u", "python", version, text)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_positions_there_and_back(encoding: Encoding) -> None:
    chance = random.Random(3)
    for _ in range(300):
        text = "".join(chance.choices(ALPHABET, k=chance.randrange(25)))
        lines = split_lines(text)
        starts = line_starts(lines)
        for offset in range(len(text) + 1):
            if not inside_a_line_end(text, offset):
                wanted = editor_position(text, offset, encoding)
                assert position_of(lines, starts, offset, encoding) == (wanted.line, wanted.character)


def test_positions_past_the_end_are_the_end() -> None:
    assert to_offset("ab\r\n", 99, "utf-16") == 2
    assert to_offset("𝒳b", 1, "utf-16") == 0
    assert to_offset("é", 1, "utf-8") == 0
    assert to_units("𝒳b", 1, "utf-16") == 2
    documents = Documents()
    documents.open("u", "python", 1, "a\nb")
    far = types.Range(types.Position(9, 9), types.Position(99, 0))
    documents.change("u", 2, [types.TextDocumentContentChangePartial(far, "!")])
    assert documents.get("u").text == "a\nb!"


def test_halves_of_a_character_that_come_one_by_one_are_one() -> None:
    documents = Documents()
    documents.open("u", "python", 1, "x = ''\n")
    for version, (half, place) in enumerate([("\ud835", 5), ("\udcb3", 6)], 2):
        where = types.Range(types.Position(0, place), types.Position(0, place))
        documents.change("u", version, [types.TextDocumentContentChangePartial(where, half)])
    assert documents.get("u").text == "x = '𝒳'\n"


def test_versions_only_rise() -> None:
    documents = Documents()
    documents.open("u", "python", 5, "one")
    documents.change("u", 3, [types.TextDocumentContentChangeWholeDocument("two")])
    assert documents.get("u").text == "one"
    assert not documents.get("u").in_step
    documents.change("u", 6, [types.TextDocumentContentChangeWholeDocument("three")])
    assert documents.get("u").text == "three"
    assert documents.get("u").in_step


def test_the_first_known_encoding_is_chosen() -> None:
    assert choose(["foo", "utf-32", "utf-8"]) == "utf-32"
    assert choose([]) == choose([None, 3]) == "utf-16"
