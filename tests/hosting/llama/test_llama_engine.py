"""The llama.cpp engine on a real model: what it streams, when it stops, what it computes again."""

import itertools
from dataclasses import replace

import pytest

from assistant.conversation import start
from assistant.errors import ContextOverflow
from assistant.hosting.engine import EngineRequest, Finish, Piece, Sampling
from assistant.hosting.llama_engine import BATCH, _threads
from assistant.template import CHATML, encode

pytestmark = pytest.mark.timeout(120)


def ask(llama, text, max_tokens=16, stop_ids=None, sampling=None):
    encoded = encode(CHATML, start(text), llama.tokenizer)
    return EngineRequest(encoded.ids, max_tokens, encoded.stop_ids if stop_ids is None else stop_ids, sampling or Sampling())


def run(llama, request, cancelled=lambda: False):
    *pieces, finish = llama.stream(request, cancelled)
    assert all(isinstance(piece, Piece) for piece in pieces)
    assert isinstance(finish, Finish)
    return "".join(piece.text for piece in pieces), tuple(token for piece in pieces for token in piece.ids), finish


def test_pieces_come_token_by_token_and_join_to_the_reply(llama):
    pieces = list(llama.stream(ask(llama, "Count from one to ten."), lambda: False))[:-1]
    assert len(pieces) > 8
    ids = [token for piece in pieces for token in piece.ids]
    assert "".join(piece.text for piece in pieces) == llama.tokenizer.decode(ids)


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_length_is_exact(llama, limit):
    _, ids, finish = run(llama, ask(llama, "Tell me a very long story about a whale.", limit))
    assert len(ids) == limit
    assert finish.reason == "length"
    assert finish.usage.completion == limit


def test_every_stop_id_of_the_request_ends_the_reply_before_it(llama):
    text, ids, _ = run(llama, ask(llama, "Name three colours.", 12))
    stop = next(token for token in ids[3:] if token not in ids[:3])
    cut = ids.index(stop)
    stopped_text, stopped, finish = run(llama, ask(llama, "Name three colours.", 12, frozenset({stop})))
    assert stopped == ids[:cut]
    assert text.startswith(stopped_text)
    assert finish.reason == "stop"
    assert finish.usage.completion == cut


def test_the_models_own_end_stops_and_never_shows_even_when_the_request_does_not_name_it(llama):
    text, ids, finish = run(llama, ask(llama, "What is 2+2? Answer with one number only.", 64, stop_ids=frozenset()))
    assert finish.reason == "stop"
    assert "<|" not in text
    assert not llama.info.end_ids & set(ids)


def test_greedy_replies_are_the_same_each_time(llama):
    request = ask(llama, "Write a haiku about rust.", 12)
    assert run(llama, request)[1] == run(llama, request)[1]


def test_a_seed_makes_sampling_repeatable_and_seeds_differ(llama):
    def sampled(seed):
        return run(llama, ask(llama, "Invent a name.", 12, sampling=Sampling(temperature=1.0, top_p=0.95, seed=seed)))[1]

    assert sampled(7) == sampled(7)
    assert len({sampled(seed) for seed in (1, 2, 3)}) > 1


def test_characters_split_over_tokens_come_whole_and_with_all_their_ids(llama):
    request = ask(llama, "Say hello and show an emoji like 🦀🐍🧑‍🚀.", 24)
    pieces = list(llama.stream(request, lambda: False))[:-1]
    assert any(len(piece.ids) > 1 for piece in pieces)
    assert not any("\ufffd" in piece.text for piece in pieces)
    answers = []
    whole = {"prompt": list(request.prompt), "n_predict": 24, "top_k": 1, "return_tokens": True, "verbose": True}
    llama.server.generate(whole, answers.append)
    generated = answers[-1]["__verbose"]["tokens"]
    ids = [token for piece in pieces for token in piece.ids]
    assert ids == generated[: len(ids)]
    assert len(generated) - len(ids) < 4  # a character that the limit cut in half is left out


def test_tokens_drafted_from_the_prompt_are_those_that_one_by_one_would_come(llama):
    line = "the quick brown fox jumps over the lazy dog near the old mill and runs home to eat\n"
    request = EngineRequest(tuple(llama.tokenizer.encode(line * 8)), 32, frozenset())
    _, ids, finish = run(llama, request)
    slow = []
    while len(slow) < len(ids):
        slow.extend(run(llama, replace(request, prompt=(*request.prompt, *slow), max_tokens=1))[1])
    assert ids == tuple(slow)
    assert finish.usage.accepted > 0
    assert finish.usage.accepted <= finish.usage.completion


def test_cancel_takes_at_most_two_tokens_and_frees_the_slot(llama):
    stop = iter(itertools.chain([False] * 6, itertools.repeat(True)))
    seen = []
    for item in llama.stream(ask(llama, "Tell me a very long story.", 200), lambda: next(stop)):
        seen.append(item)
    assert seen[-1].reason == "cancelled"
    assert seen[-1].usage.completion <= 6
    assert run(llama, ask(llama, "Hello.", 2))[2].reason == "length"


def test_a_stream_that_is_dropped_ends_generation(llama):
    stream = llama.stream(ask(llama, "Tell me a very long story.", 2000), lambda: False)
    next(stream)
    stream.close()
    assert run(llama, ask(llama, "Hello.", 2))[2].reason == "length"


def test_cancel_during_prefill_computes_no_more_than_the_batch_under_way(llama):
    request = ask(llama, "".join(f"Line {number} says nothing new.\n" for number in range(60)), 4)
    assert len(request.prompt) > 6 * BATCH
    polls = iter(itertools.chain([False], itertools.repeat(True)))
    _, ids, finish = run(llama, request, lambda: next(polls))
    assert (ids, finish.reason) == ((), "cancelled")
    again = run(llama, request, lambda: True)[2]  # says what was kept, and computes nothing more
    assert again.usage.cached <= 3 * BATCH


def test_the_second_turn_computes_only_what_is_new(llama):
    conversation = start("My name is Ada. Remember it.", system="You are brief.")
    first = encode(CHATML, conversation, llama.tokenizer)
    text, ids, _ = run(llama, EngineRequest(first.ids, 12, first.stop_ids))
    second = encode(CHATML, conversation.then("assistant", text).then("user", "What is my name?"), llama.tokenizer)
    finish = run(llama, EngineRequest(second.ids, 4, second.stop_ids))[2]
    new = len(second.ids) - len(first.ids) - len(ids)
    assert finish.usage.prompt - finish.usage.cached <= new + 2
    assert finish.usage.cached >= len(first.ids)


def test_two_conversations_that_take_turns_keep_their_prefixes(llama):
    one, other = (ask(llama, f"{topic} " * 20, 2) for topic in ("alpha beta gamma", "red green blue"))
    run(llama, one)
    run(llama, other)
    assert run(llama, one)[2].usage.cached >= len(one.prompt) - 2
    assert run(llama, other)[2].usage.cached >= len(other.prompt) - 2


def test_a_prompt_past_the_window_is_refused_and_the_engine_stays_usable(llama):
    with pytest.raises(ContextOverflow):
        run(llama, EngineRequest((504,) * (llama.info.context_length + 1), 1, frozenset()))
    assert run(llama, ask(llama, "Hello.", 1))[2].reason == "length"


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (3, 2), (4, 3), (64, 63)])
def test_a_core_is_left_free_where_there_are_more_than_two(cores, threads):
    assert _threads(cores) == threads


def test_info_says_what_is_true(llama, smollm2):
    assert llama.info.context_length == smollm2.context_length
    assert llama.info.slots == 1
    assert llama.info.description == "llama.cpp, Q4_1, CPU, 1 thread"
    assert llama.info.end_ids == {llama.tokenizer.control_id("<|im_end|>")}


@pytest.mark.parametrize(
    "text", ["Name three colours.", "Write: é🙂日本語 twice.", "What is 2+2? Answer with one number only."]
)
def test_alternatives_change_nothing_about_a_reply(llama, text):
    plain = ask(llama, text, 24)
    watched = replace(plain, alternatives=4)
    said, ids, finish = run(llama, plain)
    *pieces, last = llama.stream(watched, lambda: False)
    assert (said, ids, finish.reason) == (
        "".join(piece.text for piece in pieces),
        tuple(i for p in pieces for i in p.ids),
        last.reason,
    )
    assert finish.usage.completion == last.usage.completion and last.usage.accepted == 0
    scores = [(token, score) for piece in pieces for token, score in zip(piece.ids, piece.scores, strict=True)]
    assert sum(score is not None for _, score in scores) > len(ids) // 2
    for token, score in scores:
        if score is not None:
            assert (score.top[0], len(score.top)) == ((token, score.logprob), 4)
            assert [logprob for _, logprob in score.top] == sorted((each for _, each in score.top), reverse=True)


@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_reply_with_alternatives_is_cancelled_between_tokens(llama, after):
    asked = itertools.count()
    request = replace(ask(llama, "Tell me a very long story about a whale.", 64), alternatives=2)
    *pieces, finish = llama.stream(request, lambda: next(asked) > after)
    assert finish.reason == "cancelled" and len(pieces) <= after + 1
    assert run(llama, ask(llama, "Name three colours.", 3))[2].reason == "length"
