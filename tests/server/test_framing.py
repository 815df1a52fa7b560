"""Frames cut anywhere are the same frames."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from server.framing import Broken, Frames, frame

# As JSON does, a body ends in a bracket: one that ends in a "c" could be the beginning of the next header.
BODIES = st.lists(
    st.binary(max_size=30).filter(lambda body: b"\n" not in body).map(lambda body: body + b"}"), min_size=1, max_size=4
)


@settings(max_examples=60, deadline=None)
@given(BODIES, st.data())
def test_cutting_changes_nothing(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(frame, bodies))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    frames = Frames()
    found = [
        item for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True) for item in frames.feed(stream[start:end])
    ]
    assert found == bodies


def test_byte_by_byte() -> None:
    frames = Frames()
    stream = b"Content-Type: x\r\ncontent-length: 2\n\n{}" + frame(b"[1]")
    assert [item for byte in stream for item in frames.feed(bytes([byte]))] == [b"{}", b"[1]"]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_a_frame_after_anything_is_found(junk: bytes) -> None:
    frames = Frames()
    marker = b'{"this": "is the one"}'
    found = list(frames.feed(junk + b"\r\n\r\n" + frame(marker)))
    assert marker in found or any(isinstance(item, bytes) for item in found)


def test_a_length_that_is_too_long_costs_one_frame() -> None:
    found = list(Frames().feed(b"Content-Length: 99999\r\n\r\n{}" + frame(b"[1]") + frame(b"[2]")))
    assert isinstance(found[0], Broken)
    assert found[1:] == [b"[1]", b"[2]"]


def test_a_length_that_is_too_short_costs_one_frame() -> None:
    found = list(Frames().feed(b'Content-Length: 3\r\n\r\n{"a": 1}' + frame(b"[1]")))
    assert found[-1] == b"[1]"


def test_memory_is_bounded() -> None:
    frames = Frames()
    for _ in range(50):
        list(frames.feed(b"Content-Length: 1000000000000\r\n\r\n" + b"x" * 100_000))
    assert len(frames._buffer) < 10_000


def test_a_length_that_takes_some_of_the_next_header_costs_one_frame() -> None:
    for more in range(1, len(frame(b"[1]")) - 3):
        found = list(Frames().feed(b"Content-Length: %d\r\n\r\n{}" % (2 + more) + frame(b"[1]") + frame(b"[2]")))
        assert found[-2:] == [b"[1]", b"[2]"], more


def test_headers_without_an_end_are_not_kept() -> None:
    frames = Frames(1 << 20)
    found = list(frames.feed(b"Content-Length: 5\r\n"))
    for _ in range(100):
        found += frames.feed(b"A: bcd\r\n" * 8192)
    assert Broken("The headers of a frame do not end in a blank line.") in found
    assert len(frames._buffer) < 1 << 17
    assert b"[1]" in list(frames.feed(frame(b"[1]")))
