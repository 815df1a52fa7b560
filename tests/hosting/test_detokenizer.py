"""Incremental decoding: whatever the tokens, the pieces joined are the text, and no piece holds half a character."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.hosting.detokenizer import Detokenizer

TEXT = "naïve — 你好 🙂 \ufffd Grüße\r\n\t👩‍👩‍👧 end"


def byte_decode(table: Sequence[bytes], ids: Sequence[int]) -> str:
    return b"".join(table[token] for token in ids).decode("utf-8", "replace")


def pieces_of(tokens: Sequence[bytes]) -> list[str]:
    detokenizer = Detokenizer(lambda ids: byte_decode(tokens, ids))
    return [*(detokenizer.decode((token,)) for token in range(len(tokens))), detokenizer.flush()]


@pytest.mark.parametrize("cut", range(1, len(TEXT.encode())))
def test_a_text_cut_anywhere_comes_out_whole(cut: int) -> None:
    raw = TEXT.encode()
    pieces = pieces_of([raw[:cut], raw[cut:]])
    assert "".join(pieces) == TEXT
    assert TEXT.startswith(pieces[0])
    assert len(pieces[0].encode()) >= cut - 6, "more than an unfinished character was held back"


@given(st.text(), st.integers(1, 5))
def test_valid_text_never_shows_a_replacement_character_of_ours(text: str, size: int) -> None:
    raw = text.encode()
    pieces = pieces_of([raw[start : start + size] for start in range(0, len(raw), size)])
    assert "".join(pieces) == text
    assert sum(piece.count("\ufffd") for piece in pieces) == text.count("\ufffd")


@given(st.lists(st.binary(min_size=1, max_size=4), max_size=40))
def test_broken_bytes_come_out_as_when_decoded_at_once(tokens: list[bytes]) -> None:
    assert "".join(pieces_of(tokens)) == b"".join(tokens).decode("utf-8", "replace")


@given(st.lists(st.lists(st.binary(min_size=1, max_size=3), max_size=4), max_size=8))
def test_several_tokens_at_a_time(groups: list[list[bytes]]) -> None:
    table = [token for group in groups for token in group]
    detokenizer = Detokenizer(lambda ids: byte_decode(table, ids))
    positions = iter(range(len(table)))
    text = "".join(detokenizer.decode([next(positions) for _ in group]) for group in groups) + detokenizer.flush()
    assert text == b"".join(table).decode("utf-8", "replace")


def test_a_flood_of_broken_bytes_is_not_decoded_again_and_again() -> None:
    decoded = 0

    def decode(ids: Sequence[int]) -> str:
        nonlocal decoded
        decoded += len(ids)
        return "\ufffd" * len(ids)

    detokenizer = Detokenizer(decode)
    text = "".join(detokenizer.decode((0,)) for _ in range(4000)) + detokenizer.flush()
    assert text == "\ufffd" * 4000
    assert decoded < 4000 * 64


def test_flush_without_anything_is_empty() -> None:
    assert Detokenizer(lambda _ids: "").flush() == ""
