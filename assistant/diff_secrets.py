"""What of a diff a model is shown: nothing of a secret, by its name, its old name or its content; nothing that is ignored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from assistant.ignore import is_sample, looks_secret, reason_to_leave_out
from assistant.secret_contents import SecretContent, keys_of, lines_of

_ESCAPE = re.compile(r'\\([0-7]{3}|[abfnrtv"\\])')
_ESCAPED = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


def without_secrets(diff: str, root: Path, secrets: Sequence[SecretContent] = ()) -> tuple[str, tuple[str, ...]]:
    """The diff with the names alone of files that must not be shown, and a sentence for each of them.

    A renamed file is a secret by its old name, too, and a copy by what it holds; a file whose names cannot be read from its
    header is not shown either.  `root` is the top of the repository.
    """
    kept, notes = [], []
    for text in files_of(diff):
        header = text.partition("\n")[0]
        why = _reason(text, root, secrets)
        notes += [f"{why}; its content is not shown to the model."] if why else []
        kept.append(f"{header}\n" if why else text)
    return "".join(kept), tuple(notes)


def files_of(diff: str) -> list[str]:
    """The parts of a diff, one for each file."""
    return re.split(r"^(?=diff --git )", diff, flags=re.MULTILINE)[1:]


def names_of(text: str) -> tuple[str, ...]:
    """The names, new one first, that a file of a diff has in its header; none where the header cannot be understood."""
    first, *lines = text.split("\n")
    names: list[str | None] = []
    for line in lines:
        kind = re.match(r"(--- |\+\+\+ |(?:rename|copy) (?:from|to) )", line)
        if line.startswith(("@@", "GIT binary patch", "Binary files ")):
            break
        if kind is None:
            continue
        name = _unquoted(line[kind.end() :].removesuffix("\t"))
        if not kind[1].startswith(("---", "+++")):
            names.append(name)
        elif name != "/dev/null":
            prefix = "a/" if kind[1] == "--- " else "b/"
            names.append(name.removeprefix(prefix) if name and name.startswith(prefix) else None)
    names = names or [_name_twice(first.removeprefix("diff --git "))]
    known = [name for name in reversed(names) if name]
    return tuple(dict.fromkeys(known)) if len(known) == len(names) else ()


def _reason(text: str, root: Path, secrets: Sequence[SecretContent]) -> str:
    """Why a file's part of a diff must not be shown, as the beginning of a sentence; empty where it may."""
    names = names_of(text)
    if not names:
        return f"It is not clear which file this is: {text.partition(chr(10))[0]}"
    for name in names:
        if looks_secret(Path(name)):
            return f"{name} looks like a secret and has changed"
        if reason_to_leave_out(root / name, root):
            return f"{name} is left out by your ignore rules"
    shown = "\n".join(line[1:] for line in text.split("\n") if line[:1] in ("+", "-", " "))
    lines = frozenset() if is_sample(Path(names[0])) else lines_of(shown)
    found = next((each.name for each in secrets if each.is_in(lines, keys_of(shown))), "") if secrets else ""
    return f"{names[0]} repeats what {found} holds, which looks like a secret" if found else ""


def _name_twice(header: str) -> str | None:
    """The name in `a/NAME b/NAME`, as it stands where nothing else tells it: an empty file, a binary one, a new mode."""
    half = len(header) // 2
    old, new = _unquoted(header[:half]), _unquoted(header[half + 1 :])
    if not old or not new or header[half] != " " or not (old.startswith("a/") and new.startswith("b/")):
        return None
    return old[2:] if old[2:] == new[2:] else None


def _unquoted(name: str) -> str | None:
    """A name without the quotes that git puts around one with control characters, quotes or backslashes in it."""
    if not name.startswith('"'):
        return name
    inner = name[1:-1]
    if len(name) < 2 or not name.endswith('"') or '"' in _ESCAPE.sub("", inner) or "\\" in _ESCAPE.sub("", inner):
        return None
    parts = _ESCAPE.split(inner)
    raw = [part.encode() if place % 2 == 0 else bytes([_ESCAPED.get(part) or int(part, 8)]) for place, part in enumerate(parts)]
    return b"".join(raw).decode(errors="replace")
