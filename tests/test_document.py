"""Files of every kind are read exactly or refused in one line, and written whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.decoding import decode
from assistant.document import MAX_BYTES, Document, load, write
from assistant.errors import AssistantError, EditConflict, InputError, NoEdit, StorageError, UsageError

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

READABLE = {
    "utf-8": (b"a = '\xc3\xa9'\n", "a = 'é'\n", "utf-8", b""),
    "utf-8 with a mark": (b"\xef\xbb\xbfa\r\n", "a\r\n", "utf-8", b"\xef\xbb\xbf"),
    "utf-16 little": (b"\xff\xfea\x00\n\x00", "a\n", "utf-16-le", b"\xff\xfe"),
    "utf-16 big": (b"\xfe\xff\x00a\x00\n", "a\n", "utf-16-be", b"\xfe\xff"),
    "utf-32": (b"\xff\xfe\x00\x00a\x00\x00\x00", "a", "utf-32-le", b"\xff\xfe\x00\x00"),
    "latin-1, declared": (b"# -*- coding: latin-1 -*-\na = '\xe9'\n", "# -*- coding: latin-1 -*-\na = 'é'\n", "latin-1", b""),
    "declared on the second line": (
        b"#!/usr/bin/python\n# coding=cp1252\n'\x80'\n",
        "#!/usr/bin/python\n# coding=cp1252\n'€'\n",
        "cp1252",
        b"",
    ),
    "mixed line ends": (b"a\nb\r\nc\rd\x0ce\xc2\x85f", "a\nb\r\nc\rd\x0ce\x85f", "utf-8", b""),
    "a mark inside": ("a\ufeffb\n".encode(), "a\ufeffb\n", "utf-8", b""),
}


@pytest.mark.parametrize("name", READABLE)
def test_a_file_is_read_exactly_and_written_back_unchanged(tmp_path, name):
    raw, text, encoding, bom = READABLE[name]
    path = tmp_path / "a.py"
    path.write_bytes(raw)
    document = load(path)
    assert (document.text, document.encoding, document.bom, document.raw) == (text, encoding, bom, raw)
    write(document, text)
    assert path.read_bytes() == raw
    write(document, text + "x")
    assert path.read_bytes() == bom + (text + "x").encode(encoding)


UNREADABLE = {
    "empty": (b"", "empty"),
    "binary": (b"\x7fELF\x00\x01", "binary"),
    "utf-16 without a mark": (b"a\x00\n\x00", "binary"),
    "latin-1, not declared": (b"a = '\xe9'\n", "not UTF-8"),
    "declared too late": (b"a = 1\n# coding: latin-1\n'\xe9'\n", "not UTF-8"),
    "half a pair": (b"\xff\xfe\x00\xd8", "utf-16-le"),
    "an unknown codec": (b"# coding: nonsense\n", "nonsense"),
    "a codec that is not of text": (b"# coding: hex\n", "hex"),
    "a codec that loses bytes": (b"# coding: utf-7\n+AGE-\n", "survive"),
    "too large": (b"x" * (MAX_BYTES + 1), "8,388,609"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_edited_is_refused_in_one_line(tmp_path, name):
    raw, says = UNREADABLE[name]
    path = tmp_path / "a.py"
    path.write_bytes(raw)
    with pytest.raises(InputError) as refused:
        load(path)
    assert says in refused.value.message and refused.value.remedy and "\n" not in str(refused.value)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "none", tmp_path / "pipe", tmp_path / "file" / "below", Path("a\0b"), Path("x" * 5000)):
        with pytest.raises(InputError):
            load(path)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=60))
def test_bytes_are_decoded_reversibly_or_refused(raw):
    try:
        decoded = decode(raw, "sample", cookies=True)
    except InputError:
        return
    assert decoded.bom + decoded.text.encode(decoded.encoding) == raw


def opened(path: Path, content: str = "old\n") -> Document:
    path.write_bytes(content.encode())
    return load(path)


def leftovers(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir() if entry.name.startswith(".starchat")]


def test_a_change_by_somebody_else_is_a_conflict(tmp_path):
    document = opened(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_text("theirs\n")
    with pytest.raises(EditConflict) as refused:
        write(document, "mine\n")
    assert refused.value.reply == "mine\n"
    assert (tmp_path / "a.txt").read_text() == "theirs\n" and not leftovers(tmp_path)
    (tmp_path / "a.txt").unlink()
    with pytest.raises(EditConflict):
        write(document, "mine\n")
    assert not (tmp_path / "a.txt").exists()


def test_the_mode_stays(tmp_path):
    document = opened(tmp_path / "run.sh")
    (tmp_path / "run.sh").chmod(0o750)
    write(document, "new\n")
    assert stat.S_IMODE((tmp_path / "run.sh").stat().st_mode) == 0o750


def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "real").mkdir()
    opened(tmp_path / "real" / "a.txt")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real" / "a.txt")
    write(load(tmp_path / "link.txt"), "new\n")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "real" / "a.txt").read_text() == "new\n"
    assert not leftovers(tmp_path) and not leftovers(tmp_path / "real")


def test_another_hard_link_keeps_the_old_text(tmp_path):
    document = opened(tmp_path / "a.txt")
    os.link(tmp_path / "a.txt", tmp_path / "b.txt")
    write(document, "new\n")
    assert (tmp_path / "a.txt").read_text() == "new\n" and (tmp_path / "b.txt").read_text() == "old\n"


def test_a_read_only_file_stays_as_it_was(tmp_path):
    document = opened(tmp_path / "a.txt")
    (tmp_path / "a.txt").chmod(0o444)
    with pytest.raises(StorageError, match="read-only"):
        write(document, "new\n")
    assert (tmp_path / "a.txt").read_text() == "old\n"


@pytest.mark.skipif(AS_ROOT, reason="the superuser may write anywhere")
def test_a_read_only_folder_stays_as_it_was(tmp_path):
    document = opened(tmp_path / "a.txt")
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(StorageError, match="folder"):
            write(document, "new\n")
    finally:
        tmp_path.chmod(0o755)
    assert (tmp_path / "a.txt").read_text() == "old\n"


FULL = """
import resource, sys
from assistant.document import load, write
from assistant.errors import StorageError
document = load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write(document, "new" * 1000)
except StorageError as error:
    print(error.message)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX")
def test_a_full_disk_leaves_the_file_and_no_litter(tmp_path):
    opened(tmp_path / "a.txt")
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path / "a.txt")], capture_output=True, text=True, check=True)
    assert "no room" in done.stdout
    assert (tmp_path / "a.txt").read_text() == "old\n" and not leftovers(tmp_path)


def test_a_character_that_the_encoding_lacks_is_no_edit(tmp_path):
    document = replace(opened(tmp_path / "a.txt"), encoding="latin-1")
    with pytest.raises(NoEdit, match="→"):
        write(document, "→")
    assert (tmp_path / "a.txt").read_text() == "old\n"


def test_text_without_a_file_cannot_be_written():
    with pytest.raises(UsageError):
        write(Document(None, "x"), "y")


@pytest.mark.skipif(AS_ROOT, reason="the superuser may read anything")
def test_a_file_that_may_not_be_read(tmp_path):
    opened(tmp_path / "a.txt")
    (tmp_path / "a.txt").chmod(0)
    with pytest.raises(StorageError):
        load(tmp_path / "a.txt")


def test_every_refusal_is_of_our_tree(tmp_path):
    with pytest.raises(AssistantError):
        load("/dev/null")
