"""From a question to a streamed answer on the tiny StarChat: formats, ends, cancels, limits."""

from dataclasses import replace

import pytest
import torch

from assistant.errors import ContextOverflow, OutOfMemory, UsageError
from assistant.hosting.engine import EngineRequest, Finish, Piece, Sampling
from assistant.hosting.torch_engine import memory
from assistant.hosting.torch_engine.engine import TorchEngine
from tests.hosting.torch_streaming import ask, engine, loaded, never, run
from tests.tiny_models import DIALOGUES, SYSTEM, WINDOW, tiny, tiny_starchat

FORMATS = [
    ("float32", "none"),
    ("bfloat16", "none"),
    ("auto", "int8"),
    ("auto", "int4"),
    ("bfloat16", "bnb-8bit"),
    ("bfloat16", "bnb-4bit"),
]


@pytest.mark.parametrize(("dtype", "quantization"), FORMATS)
@pytest.mark.parametrize("system", ["", SYSTEM], ids=["bare", "system"])
def test_a_learned_answer_is_streamed_and_ends_by_itself(dtype: str, quantization: str, system: str) -> None:
    opened = engine(tiny_starchat(), dtype, quantization)
    exact = 0
    for question, answer in DIALOGUES:
        reply = ask(opened, question, system)
        exact += reply.text == f"\n{answer}"
        assert reply.finish.reason == "stop"
        assert reply.finish.usage.completion == len(reply.ids) > 8
        assert opened.tokenizer.decode(reply.ids) == reply.text
    # Four bits are few for a model of this size: it may stumble over one of the three.
    assert exact >= (len(DIALOGUES) - 1 if "4" in quantization else len(DIALOGUES))


@pytest.mark.parametrize(
    ("dtype", "quantization", "name"),
    [(*both, name) for both, name in zip(FORMATS, ("fp32", "bf16", "int8", "int4", "bnb-8bit", "bnb-4bit"), strict=True)],
)
def test_the_description_says_how_the_model_runs(dtype: str, quantization: str, name: str) -> None:
    info = engine(tiny_starchat(), dtype, quantization).info
    assert info.description == f"torch, {name}, cpu, 1 thread"
    assert (info.context_length, info.slots, info.end_ids) == (WINDOW, 1, frozenset({0}))


def test_a_piece_comes_with_every_step() -> None:
    stream = engine(tiny_starchat()).stream(EngineRequest((5, 6, 7), 9, frozenset()), never)
    items = list(stream)
    assert all(item.ids for item in items[:-1] if isinstance(item, Piece))
    assert sum(len(item.ids) for item in items if isinstance(item, Piece)) == 9
    assert sum(isinstance(item, Finish) for item in items) == 1


@pytest.mark.parametrize("tokens", [0, 1, 2, 17])
def test_length_is_exact(tokens: int) -> None:
    reply = run(engine(tiny("gpt_bigcode")), range(20, 40), tokens)
    assert (len(reply.ids), reply.finish.reason) == (tokens, "length")


def test_every_stop_id_ends_the_reply_before_itself() -> None:
    opened = engine(tiny("gpt_bigcode"))
    whole = run(opened, range(20, 40), 24).ids
    for stop in set(whole):
        reply = run(opened, range(20, 40), 24, frozenset({stop, 3}))
        assert reply.ids == whole[: whole.index(stop)]
        assert reply.finish.reason == "stop"


def test_a_seed_repeats_a_reply_and_another_changes_it() -> None:
    opened = engine(tiny("gpt_bigcode"))
    replies = [run(opened, range(30, 50), sampling=Sampling(1.0, 0.95, seed)).ids for seed in (1, 1, 2, 3)]
    assert replies[0] == replies[1]
    assert len(set(replies)) == 3


def test_a_narrow_nucleus_and_a_low_temperature_are_greedy() -> None:
    opened = engine(tiny("gpt_bigcode"))
    greedy = run(opened, range(30, 50)).ids
    assert run(opened, range(30, 50), sampling=Sampling(1.0, 1e-6, 5)).ids == greedy
    assert run(opened, range(30, 50), sampling=Sampling(1e-4, 1.0, 5)).ids == greedy


class AfterAsking:
    """Answers True from the call number `calls` on."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("calls", range(16))
def test_a_cancel_at_any_point_ends_the_stream_and_leaves_the_engine_whole(calls: int) -> None:
    opened = engine(tiny("gpt_bigcode"), chunk=8)
    whole = run(engine(tiny("gpt_bigcode")), range(20, 50), 12)
    stopped = run(opened, range(20, 50), 12, cancelled=AfterAsking(calls))
    assert stopped.finish.reason == "cancelled"
    assert stopped.ids == whole.ids[: len(stopped.ids)]
    assert len(stopped.ids) <= max(0, calls - 3), "tokens came after the cancel"
    again = run(opened, range(20, 50), 12)
    assert again.ids == whole.ids
    assert again.finish.usage.cached >= min(8 * calls, 29), "what was computed before the cancel is a prefix worth keeping"


@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_a_stream_that_is_dropped_leaves_the_engine_whole(pieces: int) -> None:
    opened = engine(tiny("gpt_bigcode"))
    whole = run(opened, range(20, 50), 12)
    stream = opened.stream(EngineRequest(tuple(range(20, 50)), 12, frozenset()), never)
    for _ in range(pieces):
        next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert run(opened, range(20, 50), 12).ids == whole.ids


@pytest.mark.parametrize("architecture", ["gpt_bigcode", "starcoder2"])
@pytest.mark.parametrize("prompt", [WINDOW - 1, WINDOW - 7])
def test_a_reply_ends_where_the_window_does(architecture: str, prompt: int) -> None:
    reply = run(engine(tiny(architecture)), [30 + number % 90 for number in range(prompt)], 1000)
    assert (len(reply.ids), reply.finish.reason) == (WINDOW - prompt, "length")


@pytest.mark.parametrize("prompt", [WINDOW, WINDOW + 1, 5000])
def test_a_prompt_that_fills_the_window_is_refused_with_numbers(prompt: int) -> None:
    opened = engine(tiny("gpt_bigcode"))
    with pytest.raises(ContextOverflow, match=f"{prompt} tokens and the window holds {WINDOW}"):
        run(opened, [30] * prompt)
    assert run(opened, [30, 31], 3).finish.reason == "length"


@pytest.mark.parametrize("prompt", [[], [-1], [30, 10_000]])
def test_ids_that_the_model_does_not_have_are_refused(prompt: list[int]) -> None:
    with pytest.raises(UsageError):
        run(engine(tiny("gpt_bigcode")), prompt)


def small(tokens: int, window: int | None) -> TorchEngine:
    """An engine beside whose weights the KV cache of `tokens` tokens fits."""
    model = loaded(tiny("gpt_bigcode"))
    free = memory.RESERVE + tokens * memory.kv_bytes_per_token(model.config, model.dtype)
    return TorchEngine(replace(model, free=free, spec=replace(model.spec, context_length=window)))


def test_a_request_that_does_not_fit_is_refused_with_numbers_before_anything_is_computed() -> None:
    opened = small(100, WINDOW)
    with pytest.raises(OutOfMemory, match=r"90 \+ 20 tokens need .* of KV cache; .* are free"):
        run(opened, [30] * 90, 20)
    assert len(run(opened, [30] * 90, 10).ids) == 10


def test_memory_caps_the_window_unless_the_user_set_it() -> None:
    assert small(100, None).info.context_length == 100
    assert small(100, 300).info.context_length == 300
    assert small(100, 9000).info.context_length == WINDOW


def test_kept_prefixes_make_room_for_new_requests() -> None:
    opened = small(100, None)
    for first in (30, 40, 50):
        assert run(opened, [first] * 60, 30).finish.reason == "length"
    assert 0 < opened._prefixes.bytes <= 100 * memory.kv_bytes_per_token(loaded(tiny("gpt_bigcode")).config, torch.float32)
