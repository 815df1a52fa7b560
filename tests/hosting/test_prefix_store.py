"""What is kept of conversations on disk is used only where everything agrees, and never grows beyond its limit."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
from pathlib import Path

import pytest

from assistant.hosting.prefix_store import PrefixStore, shared
from assistant.hosting.weights import identity
from assistant.models.spec import ModelSpec
from tests.scale import rounds


def keep(store: PrefixStore, ids, owner="", size=100, seed=0) -> bool:
    def write(path: Path) -> int:
        tokens = b"".join(token.to_bytes(4, "little") for token in ids)
        path.write_bytes(b"head" * 5 + tokens + random.Random(seed).randbytes(size))
        return len(ids)

    return store.keep(ids, owner, write)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "prefixes"


def test_the_longest_beginning_is_found_and_of_equals_the_smallest(folder):
    store = PrefixStore(folder, "model")
    assert keep(store, [1, 2, 3, 9], size=500)
    assert keep(store, [1, 2, 3, 8])
    assert keep(store, [1, 5])
    entry, most = store.best([1, 2, 3, 4], "")
    assert (entry.ids, most) == ((1, 2, 3, 8), 3)
    assert store.best([7], "") is None
    assert store.sound(entry)


def test_nothing_crosses_models_versions_or_owners(folder):
    assert keep(PrefixStore(folder, "model"), [1, 2, 3], owner="ada")
    assert PrefixStore(folder, "other model").best([1, 2, 3], "ada") is None
    for owner in ("", "bob"):
        assert PrefixStore(folder, "model").best([1, 2, 3], owner) is None
    assert PrefixStore(folder, "model").best([1, 2, 3], "ada")[1] == 3


def test_files_are_for_the_owner_alone(folder):
    before = os.umask(0)
    try:
        keep(PrefixStore(folder, "model"), [1, 2])
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert len(list(folder.iterdir())) == 2


def test_a_conversation_that_goes_on_takes_the_place_of_its_beginning(folder):
    store = PrefixStore(folder, "model")
    for ids in ([1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 9]):
        assert keep(store, ids)
    assert len(list(folder.glob("*.kv"))) == 2
    assert store.best([1, 2, 3, 4, 5], "")[1] == 4


def test_the_least_recently_used_go_first(folder):
    store = PrefixStore(folder, "model", total=1000)
    for number in range(20):
        assert keep(store, [number, 1], size=200)
        first = store.best([0, 1], "")
        assert first is not None and store.sound(first[0])  # used each time, so that it stays
        assert sum(path.stat().st_size for path in folder.glob("*.kv")) <= 1000
    assert len(list(folder.glob("*.json"))) == len(list(folder.glob("*.kv"))) == 4


def test_what_is_too_large_or_cannot_be_written_leaves_nothing(folder):
    store = PrefixStore(folder, "model", each=150)
    assert not keep(store, [1], size=200)

    def fails(path: Path) -> int:
        path.write_bytes(b"half")
        raise OSError("disk full")

    assert not store.keep([1, 2], "", fails)
    assert not store.keep([1, 2], "", lambda path: path.write_bytes(b"of other tokens") and 2)
    assert not store.keep([1, 2], "", lambda path: path.write_bytes(b"") or 0)
    assert list(folder.iterdir()) == []


def test_damage_anywhere_is_noticed(folder):
    dice = random.Random(11)
    for number in range(rounds(1000)):
        store = PrefixStore(folder, "model")
        assert keep(store, [1, 2, number], seed=number)
        entry, _ = store.best([1, 2, number], "")
        state, note = folder / f"{entry.name}.kv", folder / f"{entry.name}.json"
        victim = dice.choice([state, note])
        raw = bytearray(victim.read_bytes())
        match dice.choice(["flip", "cut", "gone"]):
            case "flip":
                raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
                victim.write_bytes(raw)
            case "cut":
                victim.write_bytes(raw[: dice.randrange(len(raw))])
            case _:
                victim.unlink()
        found = store.best([1, 2, number], "")
        if found is not None and store.sound(found[0]):
            # Only a flip in the note can go by, and then it says of the state what is true or asks for less of it.
            raw_note = json.loads(note.read_bytes())
            assert victim == note and raw_note["digest"] == entry.digest and state.stat().st_size == entry.bytes
        for path in folder.iterdir():
            path.unlink()


def test_rubbish_in_the_folder_does_no_harm(folder):
    store = PrefixStore(folder, "model")
    for name, text in {"a.json": "[]", "b.json": '{"ids": 3}', "c.json": "\0", "d.kv": "x", "e.json": '{"ids": ["1"]}'}.items():
        (folder / name).write_text(text)
        os.utime(folder / name, (1, 1))
    assert store.best([1], "") is None
    assert keep(store, [1, 2])
    assert store.best([1, 2], "")[1] == 2
    assert len(list(folder.iterdir())) == 2  # what nobody can be writing any more is swept out


def test_other_weights_have_another_identity(tmp_path):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"weights")
    spec = ModelSpec("some", file, "gguf")
    one = identity(spec, "xllamacpp")
    assert one == identity(spec, "xllamacpp")
    assert one != identity(spec, "torch")
    assert one != identity(spec, "xllamacpp", adapter="x")
    file.write_bytes(b"Weights")
    os.utime(file, (5, 5))
    assert one != identity(spec, "xllamacpp")


def test_shared_counts_from_the_beginning():
    assert shared([1, 2, 3], [1, 2, 4]) == 2
    assert shared([], [1]) == shared([2], [1]) == 0


def test_what_was_erased_while_it_waited_is_not_written(folder):
    store = PrefixStore(folder, "model")
    era = store.era()

    def write(path: Path) -> int:
        path.write_bytes((1).to_bytes(4, "little"))
        return 1

    assert store.keep([1], "", write, era)
    shutil.rmtree(folder)
    assert not store.keep([1], "", write, era)
    assert not folder.exists()
    later = store.era()  # another request makes the folder again
    assert not store.keep([1], "", write, era)
    assert store.keep([1], "", write, later)
