"""What the secret files of a repository hold, so that a copy under a harmless name is known for what it is.

Read are those of the last commit, of the index, and of the folder itself, ignored ones included; what only earlier commits had
is not looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from assistant.git import ask
from assistant.ignore import looks_secret

LARGEST = 256 * 1024
"""Bytes of a file that is read; what people keep as a secret is shorter."""

_LEAST_LINE = 6
_TOKEN = re.compile(r"[A-Za-z0-9+/_-]{12,}")


@dataclass(frozen=True, slots=True)
class SecretContent:
    """A secret file: its name, its lines but for comments, and those of its words that look like keys."""

    name: str
    lines: frozenset[str]
    keys: frozenset[str]

    def is_in(self, lines: frozenset[str], keys: frozenset[str]) -> bool:
        """Whether a text with these lines and keys has one of its keys, or half of its lines."""
        return not keys.isdisjoint(self.keys) or (bool(self.lines) and 2 * len(self.lines & lines) >= len(self.lines))


def secret_contents(root: Path) -> tuple[SecretContent, ...]:
    """Those of the repository at `root`.

    Raises:
        InputError: there is no git, or it does not answer.
    """
    blobs = dict(_committed_and_staged(root))
    found = [*_blobs(root, blobs), *_files(root, blobs.values())]
    return tuple(SecretContent(name, lines_of(text), keys_of(text)) for name, text in dict.fromkeys(found))


def lines_of(text: str) -> frozenset[str]:
    """The lines that say something: long enough to, and no comments."""
    lines = (line.strip() for line in re.split(r"[\r\n]+", text))
    return frozenset(line for line in lines if len(line) >= _LEAST_LINE and not line.startswith(("#", "//", ";", "-----")))


def keys_of(text: str) -> frozenset[str]:
    """The words that look like keys: a dozen characters or more, with letters and digits among them."""
    words = _TOKEN.findall(text)
    return frozenset(word for word in words if re.search(r"\d", word) and re.search(r"[A-Za-z]", word))


def _committed_and_staged(root: Path) -> Iterator[tuple[str, str]]:
    """Git's names for the contents of secret files, and the names of these files."""
    for listed in (ask(root, "ls-tree", "-r", "-z", "HEAD").stdout, ask(root, "ls-files", "--stage", "-z").stdout):
        for row in listed.decode(errors="surrogateescape").split("\0"):
            about, _, name = row.partition("\t")
            found = re.match(r"100\d{3} (?:blob )?([0-9a-f]{40,64})\b", about)
            if found and looks_secret(Path(name)):
                yield found[1], name


def _blobs(root: Path, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    if not names:
        return
    sizes = ask(root, "cat-file", "--batch-check", stdin="\n".join(names).encode()).stdout.decode().splitlines()
    rows = (row.split() for row in sizes)
    short = [row[0] for row in rows if len(row) == 3 and row[1] == "blob" and int(row[2]) <= LARGEST]
    raw = ask(root, "cat-file", "--batch", stdin="\n".join(short).encode()).stdout if short else b""
    place = 0
    while place < len(raw):
        head, _, _ = raw[place : place + 200].partition(b"\n")
        sha, _, size = head.decode().split()
        start = place + len(head) + 1
        yield names[sha], raw[start : start + int(size)].decode(errors="replace")
        place = start + int(size) + 1


def _files(root: Path, tracked: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Secret files as they lie in the folder, those that git does not know included."""
    listed = ask(root, "ls-files", "--others", "--directory", "-z").stdout.decode(errors="surrogateescape").split("\0")
    for name in dict.fromkeys((*tracked, *(name for name in listed if name and looks_secret(Path(name))))):
        path = root / name
        try:
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= LARGEST:
                yield name, path.read_bytes().decode(errors="replace")
        except OSError:
            continue  # one that we may not read cannot be shown to anybody either
