"""Conversations outlive the host: what was computed is taken up again from disk, by the same model and the same owner alone."""

import asyncio
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from assistant.conversation import start
from assistant.hosting import llama_engine
from assistant.hosting.engine import EngineRequest
from assistant.hosting.llama_engine import LlamaEngine
from assistant.hosting.llama_prefixes import REST_SECONDS, Prefixes
from assistant.hosting.llama_server import Limits, LlamaServer
from assistant.hosting.prefix_store import PrefixStore
from assistant.prefixes import forget, prefixes_folder
from assistant.settings import Settings
from assistant.template import CHATML, encode
from tests.hosting.scripted_host import answer, ask, client_of, home, until

pytestmark = pytest.mark.timeout(120)

SYSTEM = "You are a careful assistant who answers in few words and never guesses about what was not said before."


@pytest.fixture
def own(monkeypatch, tmp_path):
    monkeypatch.setenv("STARCHAT_HOME", str(tmp_path))
    return tmp_path


@contextmanager
def opened(spec):
    engine = llama_engine.open(spec, lambda _: None)
    try:
        yield engine
    finally:
        engine.close()


def run(engine, text, owner="", keep=True, max_tokens=4):
    encoded = encode(CHATML, start(text, SYSTEM), engine.tokenizer)
    *pieces, finish = engine.stream(
        EngineRequest(encoded.ids, max_tokens, encoded.stop_ids, owner=owner, keep=keep), lambda: False
    )
    return tuple(token for piece in pieces for token in piece.ids), finish.usage


def test_a_new_engine_reads_only_what_is_new(smollm2, own):
    with opened(smollm2) as engine:
        first, cold = run(engine, "Name a colour.")
    assert cold.cached == 0
    with opened(smollm2) as engine:
        again, warm = run(engine, "Name a colour.")
        assert warm.cached >= cold.prompt - 1
        assert again == first
        other, usage = run(engine, "Name a fruit, please.")
        assert usage.cached > 16
    with opened(smollm2) as engine:
        assert run(engine, "Name a fruit, please.")[0] == other


def test_nothing_is_kept_where_it_may_not_be(smollm2, own):
    with opened(smollm2) as engine:
        run(engine, "A secret.", keep=False)
    for settings in ("history = false", "history = [broken"):
        (own / "settings.toml").write_text(settings)
        with opened(smollm2) as engine:
            run(engine, "Another.")
    assert not list(prefixes_folder().glob("*.kv"))


def test_what_was_erased_is_not_taken_up_again(smollm2, own):
    with opened(smollm2) as engine:
        run(engine, "Name a colour.")
    assert list(prefixes_folder().glob("*.kv"))
    forget()
    assert not prefixes_folder().exists()
    with opened(smollm2) as engine:
        assert run(engine, "Name a colour.")[1].cached == 0
        forget()  # under a running host, which goes on
        assert run(engine, "Name a fruit.")[0]


def test_damaged_and_foreign_states_are_ignored(smollm2, own):
    with opened(smollm2) as engine:
        first, _ = run(engine, "Name a colour.")
    for damaged in (lambda whole: whole[: len(whole) // 2], lambda whole: whole[:-7] + b"\1" * 7, lambda whole: b""):
        (state,) = prefixes_folder().glob("*.kv")
        state.write_bytes(damaged(state.read_bytes()))
        with opened(smollm2) as engine:  # llama.cpp itself would end the process over a file that was cut
            again, usage = run(engine, "Name a colour.", keep=False)
            assert (again, usage.cached) == (first, 0)
            assert not list(prefixes_folder().glob("*.kv"))
            run(engine, "Name a colour.")  # kept anew, as the engine closes
    assert list(prefixes_folder().glob("*.kv"))
    copy = Path(own / "same.gguf")
    copy.write_bytes(smollm2.path.read_bytes())
    with opened(replace(smollm2, path=copy, name="renamed")) as engine:
        assert run(engine, "Name a colour.")[1].cached == 0


def test_what_one_owner_asked_is_not_felt_by_another(smollm2, own):
    with opened(smollm2) as engine:
        first, cold = run(engine, "Name a colour.", owner="ada")
        assert run(engine, "Name a colour.", owner="ada")[1].cached >= cold.prompt - 1
        for owner in ("bob", ""):
            assert run(engine, "Name a colour.", owner=owner) == (first, replace(cold, cached=0))
            assert run(engine, "Name a colour.", owner=owner)[1].cached >= cold.prompt - 1
    with opened(smollm2) as engine:
        assert run(engine, "Name a colour.", owner="eve")[1].cached == 0


def test_the_window_opens_to_its_end_when_it_is_needed(smollm2, own):
    with opened(smollm2) as whole:
        vocabulary, info = whole.vocabulary, whole.info
    store = PrefixStore(prefixes_folder(), "narrow")
    server = LlamaServer(smollm2.path, Limits(4096, 1, 64, 64, store.folder, narrow=256))
    engine = LlamaEngine(server, vocabulary, replace(info, context_length=4096), Prefixes(server, store))
    try:
        first, cold = run(engine, "Name a colour.")
        assert server.holds(256) and not server.holds(257)
        long, usage = run(engine, "Name a colour. " * 120)
        assert usage.prompt > 256 and long and server.holds(4096)
        again, usage = run(engine, "Name a colour.")
        assert again == first
        assert usage.cached >= cold.prompt - 1  # it was put on disk before the narrow window closed
    finally:
        engine.close()


def test_a_client_whose_history_is_off_leaves_nothing_at_a_running_host(smollm2):
    async def asked(history):
        async with client_of(smollm2, Settings(idle_minutes=2, history=history)) as client:
            await answer(client, ask("Name a colour.", max_tokens=2))

    with home():
        asyncio.run(asked(history=False))
        time.sleep(REST_SECONDS + 1)
        assert not list(prefixes_folder().glob("*.kv"))
        asyncio.run(asked(history=True))
        until(lambda: bool(list(prefixes_folder().glob("*.json"))), 30)


def test_no_owner_finds_what_another_asked_however_long_ago(smollm2, own):
    secret = "The passphrase is correct horse battery staple, keep it. " * 4

    def asked(engine, text, owner):
        encoded = encode(CHATML, start(text, text), engine.tokenizer)
        *_, finish = engine.stream(EngineRequest(encoded.ids, 1, encoded.stop_ids, owner=owner), lambda: False)
        return finish.usage

    with opened(smollm2) as engine:
        asked(engine, secret, "ann")
        for number in range(18):
            asked(engine, f"{number * number * 7919} is a number", "bob")
        assert asked(engine, secret, "bob").cached < 16
        assert asked(engine, secret, "bob").cached > 100
