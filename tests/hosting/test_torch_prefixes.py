"""Computed beginnings: whose they are, how long they stay, and what of them a new host finds on disk."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from assistant import prefixes
from assistant.hosting.prefix_store import PrefixStore
from assistant.hosting.torch_engine import memory
from assistant.hosting.torch_engine.engine import TorchEngine
from tests.hosting.torch_streaming import engine, loaded, run
from tests.tiny_models import WINDOW, tiny

ARCHITECTURES = ["gpt_bigcode", "starcoder2", "qwen2", "llama"]
PROMPT = [40 + 17 * number % 200 for number in range(60)]
NEXT = [*PROMPT, 55, 56, 57]


def stored(architecture: str, home: Path, identity: str = "one", dtype: str = "float32") -> TorchEngine:
    return TorchEngine(loaded(tiny(architecture), dtype), store=PrefixStore(home / "prefixes", identity))


def written(architecture: str, home: Path, dtype: str = "float32") -> list[Path]:
    opened = stored(architecture, home, dtype=dtype)
    run(opened, PROMPT, 10, keep=True)
    opened._prefixes.put_away()
    return sorted((home / "prefixes").glob("*.*"))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_new_host_goes_on_where_an_old_one_ended(architecture: str, dtype: str, own_home: Path) -> None:
    files = written(architecture, own_home, dtype)
    assert [file.suffix for file in files] == [".json", ".kv"]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    expected = run(engine(tiny(architecture), dtype), NEXT, 40)
    reply = run(stored(architecture, own_home, dtype=dtype), NEXT, 40)
    assert reply.finish.usage.cached == len(PROMPT)
    assert dtype == "bfloat16" or reply.ids == expected.ids
    whole = run(stored(architecture, own_home, dtype=dtype), PROMPT, 40)
    assert whole.finish.usage.cached == len(PROMPT) - 1, "the last token must be computed for its logits"
    assert dtype == "bfloat16" or whole.ids == run(engine(tiny(architecture), dtype), PROMPT, 40).ids


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "gone"])
def test_a_damaged_file_is_ignored(damage: str, own_home: Path) -> None:
    (path,) = (file for file in written("qwen2", own_home) if file.suffix == ".kv")
    content = path.read_bytes()
    middle = len(content) // 2
    changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.write_bytes({"cut": content[:middle], "changed": changed, "empty": b"", "gone": b""}[damage])
    if damage == "gone":
        path.unlink()
    reply = run(stored("qwen2", own_home), NEXT, 20)
    assert reply.finish.usage.cached == 0
    assert reply.ids == run(engine(tiny("qwen2")), NEXT, 20).ids


def test_what_another_model_another_format_or_another_owner_kept_is_ignored(own_home: Path) -> None:
    written("qwen2", own_home)
    assert run(stored("qwen2", own_home, identity="two"), NEXT, 5).finish.usage.cached == 0
    # Even under the same name a cache of another shape or format is not taken up.
    assert run(stored("llama", own_home), NEXT, 5).finish.usage.cached in (0, len(PROMPT))
    assert run(stored("gpt_bigcode", own_home), NEXT, 5).finish.reason == "length"
    assert run(stored("qwen2", own_home), NEXT, 5, owner="somebody").finish.usage.cached == 0


def test_nothing_is_written_or_read_unless_it_may_be(own_home: Path) -> None:
    opened = stored("qwen2", own_home)
    run(opened, PROMPT, 10, keep=False)
    opened._prefixes.put_away()
    assert list((own_home / "prefixes").glob("*.*")) == []
    written("qwen2", own_home)
    (own_home / "settings.toml").write_text("history = false\n")
    assert not prefixes.may_be_kept()
    assert run(stored("qwen2", own_home), NEXT, 5).finish.usage.cached == 0
    run(opened, [*NEXT, 60], 10, keep=True)
    before = {file.name for file in (own_home / "prefixes").glob("*.*")}
    opened._prefixes.put_away()
    assert {file.name for file in (own_home / "prefixes").glob("*.*")} == before


def test_a_conversation_is_written_when_the_engine_rests(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    opened = stored("qwen2", own_home)
    run(opened, PROMPT, 10, keep=True)
    assert list((own_home / "prefixes").glob("*.*")) == []
    until = time.monotonic() + 30
    while len(list((own_home / "prefixes").glob("*.json"))) == 0:
        assert time.monotonic() < until
        time.sleep(0.1)
    opened.close()


def test_a_chat_is_written_although_others_follow_at_once(own_home: Path) -> None:
    opened = stored("qwen2", own_home)
    run(opened, PROMPT, 10, keep=True)
    run(opened, [*range(100, 140)], 5, keep=True)
    run(opened, [*range(60, 90)], 5)  # a completion, which is not to be kept
    opened._prefixes.put_away()
    assert len(list((own_home / "prefixes").glob("*.json"))) == 2
    assert run(stored("qwen2", own_home), NEXT, 5).finish.usage.cached == len(PROMPT)
    run(opened, [*PROMPT, 60, 61], 5)
    run(opened, [*range(60, 95)], 5)
    opened._prefixes.put_away()
    assert len(list((own_home / "prefixes").glob("*.json"))) == 2, "what was written is not written again"


def test_what_was_erased_before_it_was_written_stays_erased(own_home: Path) -> None:
    opened = stored("qwen2", own_home)
    run(opened, PROMPT, 10, keep=True)
    prefixes.forget()
    opened._prefixes.put_away()
    assert not (own_home / "prefixes").exists()
    run(opened, NEXT, 10, keep=True)
    opened.close()
    assert len(list((own_home / "prefixes").glob("*.json"))) == 1


def test_owners_do_not_share_what_is_in_memory() -> None:
    opened = engine(tiny("qwen2"))
    run(opened, PROMPT, 10, owner="one")
    assert run(opened, NEXT, 5, owner="two").finish.usage.cached == 0
    assert run(opened, NEXT, 5, owner="one").finish.usage.cached == len(PROMPT)


def test_several_conversations_that_take_turns_are_all_kept() -> None:
    opened = engine(tiny("qwen2"))
    talks = [[first, *PROMPT] for first in range(30, 36)]
    for round_ in range(3):
        for talk in talks:
            reply = run(opened, talk, 8)
            assert reply.finish.usage.cached == (len(talk) - 3 if round_ else 0)
            talk.extend([*reply.ids, 60, 61])


def test_the_least_recently_used_goes_first_when_memory_is_short() -> None:
    model = loaded(tiny("gpt_bigcode"))
    each = memory.kv_bytes_per_token(model.config, model.dtype)
    opened = TorchEngine(replace(model, free=memory.RESERVE + 600 * each))
    talks = {first: [first, *[first + 40 + number % 50 for number in range(200)]] for first in (30, 31)}
    for talk in talks.values():
        run(opened, talk, 4)
    run(opened, [*talks[30], 33], 4)  # used again, so the other one is the oldest
    run(opened, [32] * 201, 4)
    assert opened._prefixes.bytes <= 600 * each
    assert run(opened, [*talks[30], 33, 34], 4).finish.usage.cached >= 200
    assert run(opened, [*talks[31], 33, 34], 4).finish.usage.cached == 0


def test_a_short_new_tail_is_not_copied_and_a_long_one_is() -> None:
    opened = engine(tiny("gpt_bigcode"))
    run(opened, [*PROMPT, 30], 4)
    run(opened, [*PROMPT, 31], 4)
    assert len(opened._prefixes.kept) == 1
    run(opened, [*PROMPT[:20], 31], 4)
    assert len(opened._prefixes.kept) == 2
    assert max(len(kv.ids) for kv, _ in opened._prefixes.kept) <= WINDOW
    assert all(kv.bytes < 600 * 2 * 2 * 32 * torch.float32.itemsize for kv, _ in opened._prefixes.kept)
