"""The history's file: what is kept, who may read it, and what happens where it cannot be used."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from assistant.errors import InputError, StorageError
from assistant.history import database, erasing, records
from assistant.history.database import history_file
from assistant.history.records import Entry
from assistant.history.schema import VERSION
from assistant.history.searching import search


def keep(*texts: str) -> str:
    name = records.new_id()
    for number, text in enumerate(texts):
        records.add(name, Entry("assistant" if number % 2 else "user", text))
    return name


def test_what_was_said_is_there_again() -> None:
    first, second = keep("How?\nLike so?", "This 𝒳 way.\r\n\x00"), keep("And now?")
    assert [(each.role, each.content) for each in records.entries(first)] == [
        ("user", "How?\nLike so?"),
        ("assistant", "This 𝒳 way.\r\n\x00"),
    ]
    assert [(one.id, one.title, one.messages) for one in records.listed()] == [(second, "And now?", 1), (first, "How?", 2)]
    records.add(first, Entry("user", "More"))
    assert [one.id for one in records.listed(1)] == [first]


def test_nothing_is_made_by_looking(own_home: Path) -> None:
    assert (records.listed(), records.entries("x"), search("x"), erasing.older(None)) == ((), (), (), 0)
    assert not own_home.exists()


def test_only_the_user_can_read_it() -> None:
    before = os.umask(0)
    try:
        keep("secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE(history_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(history_file().parent.stat().st_mode) == 0o700
    history_file().chmod(0o644)
    keep("secret")
    assert stat.S_IMODE(history_file().stat().st_mode) == 0o600


def test_the_journal_is_readable_by_the_user_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    keep("x")
    before = os.umask(0)
    try:
        with closing(sqlite3.connect(history_file(), isolation_level=None)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE message SET content = 'y'")
            journal = history_file().with_name(f"{history_file().name}-journal")
            assert stat.S_IMODE(journal.stat().st_mode) == 0o600
            connection.rollback()
    finally:
        os.umask(before)


def test_a_conversation_is_found_by_the_beginning_of_its_id() -> None:
    name = keep("Hi")
    assert records.find(name.upper()).id == records.find(name[:3]).id == name
    for wrong in ("zzzzzzzzz", "", "%", "' OR 1=1 --"):
        with pytest.raises(InputError, match="There is no conversation"):
            records.find(wrong)
    records.add("abcd0001", Entry("user", "x"))
    records.add("abcd0002", Entry("user", "x"))
    records.add("abcd", Entry("user", "x"))
    assert records.find("abcd").id == "abcd"
    with pytest.raises(InputError, match="Several"):
        records.find("abcd0")


def test_words_are_found_in_any_case_and_any_message() -> None:
    first = keep("How do I REVERSE a list?", "Use `list(reversed(x))`; that is 100% quick, says Ärger_.")
    keep("Something else", "entirely")
    for words in ("reverse", "LIST reversed", '"a list"', "100%", "ärger_", "ÄRGER how", "(x)"):
        assert [hit.summary.id for hit in search(words)] == [first], words
    for words in ("reverse entirely", '"list a"', "10%%", "a_l", "nothing", "  "):
        assert search(words) == (), words
    assert "REVERSE" in search("reverse")[0].excerpt


def test_what_is_deleted_is_gone_from_the_file() -> None:
    canary = "c4n4ry" * 40
    others = [keep(f"other {number}" * 50) for number in range(20)]
    name = keep(f"{canary} question", canary * 300)
    assert canary.encode() in history_file().read_bytes()
    size = history_file().stat().st_size
    erasing.delete(name)
    assert canary.encode()[:24] not in history_file().read_bytes()
    assert history_file().stat().st_size < size
    assert {one.id for one in records.listed()} == set(others)
    assert erasing.delete_all() == 20
    assert b"other 1" not in history_file().read_bytes()


def test_old_ones_can_be_deleted() -> None:
    old, new = keep("old"), keep("new")
    with closing(sqlite3.connect(history_file(), isolation_level=None)) as connection:
        connection.execute("UPDATE conversation SET updated = updated - 40 * 86400 WHERE id = ?", (old,))
    assert erasing.older(30) == 1
    assert erasing.delete_older(30) == 1
    assert [one.id for one in records.listed()] == [new]


@pytest.mark.parametrize("damage", ["text", "head", "pages", "cut", "foreign"])
def test_a_damaged_file_is_put_aside_and_kept(damage: str) -> None:
    for number in range(30):
        keep(f"question {number} " * 50, "answer " * 400)
    path = history_file()
    raw = path.read_bytes()
    if damage == "foreign":
        path.unlink()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE other (x)")
            connection.execute(f"PRAGMA user_version = {VERSION}")
    else:
        path.write_bytes(
            {
                "text": b"not a database at all" * 50,
                "head": b"\0" * 100 + raw[100:],
                "pages": raw[:4096] + b"\xff" * (len(raw) - 4096),
                "cut": raw[: len(raw) // 2],
            }[damage]
        )
    broken = path.read_bytes()
    with pytest.raises(StorageError, match="It is kept as") as caught:
        for summary in records.listed():
            records.entries(summary.id)
        records.add("new", Entry("user", "x"))
    (kept,) = path.parent.glob("damaged-*.sqlite3")
    assert kept.read_bytes() == broken
    assert str(kept) in str(caught.value)
    name = keep("a new beginning")
    assert [one.id for one in records.listed()] == [name]


def test_many_that_find_the_damage_at_once_lose_nothing() -> None:
    keep("x")
    history_file().write_bytes(b"garbage" * 1000)
    complaints, kept = [], []

    def work(number: int) -> None:
        for _ in range(3):
            try:
                kept.append(keep(f"from {number}"))
            except StorageError as error:
                complaints.append(str(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(history_file().parent.glob("damaged-*.sqlite3"))) == 1
    assert any("damaged" in each for each in complaints)  # who comes in between may hear that it is in use
    assert {one.id for one in records.listed()} == set(kept)


def test_a_newer_file_is_left_as_it_is() -> None:
    keep("x")
    with closing(sqlite3.connect(history_file(), isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = history_file().read_bytes()
    for call in (records.listed, lambda: records.add("y", Entry("user", "y")), erasing.delete_all):
        with pytest.raises(StorageError, match="newer version"):
            call()
    assert history_file().read_bytes() == before


def test_a_locked_file_is_waited_for_and_then_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.3)
    name = keep("x")
    with closing(sqlite3.connect(history_file(), isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="in use by another program"):
            records.entries(name)
        connection.rollback()
    assert len(records.entries(name)) == 1


def test_what_is_no_file_is_said(own_home: Path) -> None:
    history_file().mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot be opened"):
        records.listed()
    with pytest.raises(StorageError):
        keep("x")
    shutil.rmtree(own_home)
    own_home.write_text("a file where the folder should be")
    with pytest.raises(StorageError):
        keep("x")


def test_a_file_of_the_first_form_is_brought_up_to_date() -> None:
    history_file().parent.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("data") / "form1.sqlite3", history_file())
    assert [(one.id, one.title, one.messages) for one in records.listed()] == [
        ("m4kpz7qd", "Was heißt „größer gleich“ in C?", 2),
        ("v2rea9fk", "How do I reverse a list in Python?", 4),
    ]
    entries = records.entries("v2rea9fk")
    assert [each.content for each in entries][-1] == "`x.reverse()`, which gives `None`."
    assert {(each.typed, each.attached, each.model, each.finish) for each in entries} == {("", (), "", "")}
    records.add("v2rea9fk", Entry("user", "shown", "typed", ("a.py",)))
    assert records.entries("v2rea9fk")[-1].attached == ("a.py",)
    with closing(sqlite3.connect(history_file())) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_many_bring_it_up_to_date_at_once() -> None:
    history_file().parent.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("data") / "form1.sqlite3", history_file())
    failures: list[Exception] = []

    def work() -> None:
        try:
            keep("x")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failures, len(records.listed())) == ([], 10)
