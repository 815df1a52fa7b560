"""Everything that may change the way to a reply, at once: chunks, drafts, kept beginnings, two streams in turns, formats."""

import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from assistant.hosting.engine import EngineRequest, Finish, Piece
from assistant.hosting.prefix_store import PrefixStore
from assistant.hosting.torch_engine.engine import TorchEngine
from tests.hosting.scripted_host import home
from tests.hosting.torch_streaming import loaded, never, run
from tests.tiny_models import tiny

FORMATS = [("float32", "none"), ("auto", "int8"), ("auto", "int4")]


@pytest.mark.parametrize("architecture", ["gpt_bigcode", "starcoder2", "qwen2", "llama"])
@pytest.mark.parametrize(("dtype", "quantization"), FORMATS)
@seed(31)
@settings(max_examples=4, deadline=None, database=None)
@given(number=st.integers(0, 2**32))
def test_no_way_to_a_reply_changes_it(architecture: str, dtype: str, quantization: str, number: int) -> None:
    """Pairs of requests that go on from random places of one text, some with their reply as a draft, some after a restart."""
    random_ = random.Random(number)
    model = loaded(tiny(architecture), dtype, quantization)
    stem = [random_.randrange(30, 400) for _ in range(70)]
    with home() as folder:
        store = PrefixStore(folder / "prefixes", "one")
        opened = TorchEngine(model, chunk=random_.choice((5, 16, 64)), store=store)
        for _ in range(3):
            prompts = [(*stem[: random_.randrange(2, 70)], random_.randrange(30, 400)) for _ in range(2)]
            wanted = [run(TorchEngine(model, drafts=False), prompt, 20).ids for prompt in prompts]
            guesses = [random_.choice(((), reply, (*reply[:7], 31, *reply[8:]))) for reply in wanted]
            streams = [
                opened.stream(EngineRequest(prompt, 20, frozenset(), prediction=guess, keep=True), never)
                for prompt, guess in zip(prompts, guesses, strict=True)
            ]
            assert list(in_turns(*streams)) == wanted
            if random_.random() < 0.5:
                opened._prefixes.put_away()
                opened = TorchEngine(model, chunk=random_.choice((5, 16, 64)), store=store)


def in_turns(*streams: Iterator[Piece | Finish]) -> list[tuple[int, ...]]:
    """The ids of the streams, a piece of each at a time."""
    replies: list[list[int]] = [[] for _ in streams]
    for pieces in itertools.zip_longest(*streams):
        for reply, piece in zip(replies, pieces, strict=True):
            reply.extend(piece.ids if isinstance(piece, Piece) else ())
    return [tuple(reply) for reply in replies]
