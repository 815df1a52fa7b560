from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from assistant.hosting.byte_tokenizer import ByteTokenizer
from assistant.hosting.engine import EngineInfo, EngineRequest, Finish, Piece
from assistant.hosting.stopping import LoopGuard, StopTexts, stream
from assistant.wire import Usage

TEXTS = st.text("abc\n=é", max_size=40)
STOPS = st.lists(st.text("abc\n=é", min_size=1, max_size=4), max_size=3).map(tuple)


def expected(text: str, stops: tuple[str, ...]) -> tuple[str, bool]:
    places = [text.find(stop) for stop in stops if stop in text]
    return (text[: min(places)], True) if places else (text, False)


def fed(pieces: list[str], stops: tuple[str, ...]) -> tuple[str, bool]:
    state, out = StopTexts(stops), ""
    for piece in pieces:
        state = state.after(piece)
        out += state.ready
        # What was let go can never turn out to be the beginning of a stop text.
        assert not any(stop in out for stop in stops)
    return out + state.held, state.hit


@given(TEXTS, STOPS, st.data())
def test_a_stop_text_is_found_however_the_reply_is_cut(text: str, stops: tuple[str, ...], data: st.DataObject) -> None:
    one = [text[i : i + 1] for i in range(len(text))]
    # Cutting can only let the text end earlier than the first stop in the whole when two stops overlap; character by
    # character it ends where a stop is completed first.
    out, hit = fed(one, stops)
    assert hit == expected(text, stops)[1]
    assert text.startswith(out)
    cut = data.draw(st.integers(0, len(text)))
    two_out, two_hit = fed([text[:cut], text[cut:]], stops)
    assert two_hit == hit
    assert text.startswith(two_out)
    if len(stops) == 1:
        assert out == two_out == expected(text, stops)[0]


def test_nothing_is_held_back_without_need() -> None:
    state = StopTexts(("\n===",)).after("hello\n=")
    assert (state.ready, state.held) == ("hello", "\n=")
    assert state.after("x").ready == "\n=x"


def guard(ids: list[int], step: int = 1, allowed: tuple[int, ...] = ()) -> int | None:
    """After how many ids the guard calls it a loop."""
    state = LoopGuard(allowed)
    for place in range(0, len(ids), step):
        state = state.after(ids[place : place + step])
        if state.looping:
            return min(place + step, len(ids))
    return None


def tokens(text: str) -> list[int]:
    return list(text.encode())


def test_legitimate_repetition_is_no_loop() -> None:
    assert guard(tokens("[" + "0, " * 300 + "]")) is None
    assert guard(tokens(" " * 400 + "x")) is None
    assert guard(tokens("# " + "=" * 200 + "\n# title\n# " + "=" * 200)) is None
    assert guard(tokens("\n".join(f'    {{"id": {n}, "name": "item {n}", "price": {n * 3}}},' for n in range(80)))) is None
    assert guard(tokens("    assert f(None) is None\n" * 6)) is None


def test_a_loop_is_cut_after_a_bounded_number_of_tokens() -> None:
    sentence = tokens("I will now fix the bug in the function. ")
    assert (guard(sentence * 60) or 10**9) <= max(256, 9 * len(sentence))
    assert (guard(tokens("\n" * 3000)) or 10**9) <= 1025
    paragraph = list(range(1000, 1200))
    assert (guard(paragraph * 20) or 10**9) <= 9 * len(paragraph)


@given(st.lists(st.integers(0, 50), min_size=8, max_size=60, unique=True), st.integers(1, 40))
def test_a_loop_is_found_at_the_same_id_however_it_arrives(block: list[int], step: int) -> None:
    ids = [99, 98, *block * 60]
    alone, together = guard(ids), guard(ids, step)
    assert alone is not None and together is not None
    assert alone <= together < alone + step


def test_a_repetition_that_the_user_wrote_is_no_loop() -> None:
    line = tokens("    counter = counter + 1\n")
    assert guard(line * 40) is not None
    assert guard(line * 40, allowed=tuple(line * 40)) is None


@dataclass
class Babbler:
    """Says its text byte by byte until it is cancelled, as an engine does."""

    text: str

    tokenizer = ByteTokenizer(())
    info = EngineInfo(100, frozenset(), 1, "")

    def close(self) -> None: ...

    def stream(self, request, cancelled):
        done = 0
        for token in self.text.encode():
            if cancelled():
                yield Finish("cancelled", Usage(completion=done))
                return
            done += 1
            yield Piece(chr(token), (token,))
        yield Finish("stop", Usage(completion=done))


def run(text: str, stops: tuple[str, ...] = (), cancelled=lambda: False) -> tuple[str, Finish]:
    items = list(stream(Babbler(text), EngineRequest((1,), 10**6, frozenset()), stops, cancelled))
    assert isinstance(items[-1], Finish)
    return "".join(item.text for item in items if isinstance(item, Piece)), items[-1]


def test_the_engine_is_stopped_where_the_reply_is_over() -> None:
    assert run("abc\n=== Human and more", ("\n=== Human",)) == ("abc", Finish("stop", Usage(completion=13)))
    assert run("abc\n=", ("\n=== Human",)) == ("abc\n=", Finish("stop", Usage(completion=5)))
    _, finish = run("I will now fix the bug in the function. " * 100)
    assert finish.reason == "loop" and finish.usage.completion < 400
    assert run("abc", cancelled=lambda: True) == ("", Finish("cancelled", Usage()))
