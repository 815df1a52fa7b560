"""Which files stay out of prompts: secrets, and what `.gitignore` or `.assistantignore` leaves out.

They may be shown only where the user names the very file, or has it open.  Ignore rules are those of git (gitignore(5)): of
several that match the last one counts, an inner folder's after an outer one's; nothing in an ignored folder comes back.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fnmatch import translate
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec
    from pathspec.pattern import RegexPattern

Reason = Literal["", "secret", "ignored"]

_DATA = ("json", "yaml", "yml", "toml", "ini", "csv", "xml", "txt", "properties")

SECRETS = (
    ".env*",
    "*.env",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.ppk",
    "*.gpg",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "credentials",
    "client_secret*.json",
    "service-account*.json",
    "*credentials*.json",
    *(f"{name}.{kind}" for name in ("credentials", "secrets", "secret") for kind in _DATA),
    "*.keytab",
    "*.ovpn",
    "kubeconfig",
    ".dockercfg",
    ".boto",
    ".s3cfg",
    ".my.cnf",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".htpasswd",
    ".git-credentials",
    ".vault-token",
    "*.tfstate",
    "*.tfvars",
)
"""Names of files that hold keys and passwords, in lower case."""

HARMLESS = (".env.example", ".env.sample", ".env.template", ".env.dist", "id_*.pub")
"""Names that look like secrets and are none: samples and public keys."""

SECRET_FOLDERS = frozenset((".ssh", ".gnupg", ".aws", ".kube", ".docker"))

RULES = (".gitignore", ".assistantignore")


def is_secret(path: Path) -> bool:
    """Whether the file at `path`, or what it leads to through links, is a secret by its name or its folder."""
    return looks_secret(path) or looks_secret(Path(os.path.realpath(path)))


def looks_secret(path: Path) -> bool:
    """Whether this is the name of a secret, or that of a file in a folder of secrets; links are not followed."""
    name = path.name.lower()
    return not is_sample(path) and (
        _SECRET.match(name) is not None
        or (name.startswith("id_") and "." not in name)
        or bool(SECRET_FOLDERS.intersection(path.parts[:-1]))
    )


def is_sample(path: Path) -> bool:
    """Whether the name only looks like that of a secret."""
    return _SAMPLE.match(path.name.lower()) is not None


def reason_to_leave_out(path: Path, top: Path | None = None, *, alone: bool = False) -> Reason:
    """Why `path` must not be shown unasked; empty where it may.

    top: where the rules begin; by default the repository around `path`, else the current folder, else its own.
    alone: whether the folders around it have been asked about before, as one does who walks down a tree.
    """
    if is_secret(path):
        return "secret"
    path = _plain(path)
    top = _plain(top) if top is not None else _top(path)
    return "ignored" if path.is_relative_to(top) and _is_ignored(path, top, alone=alone) else ""


def repository_of(folder: Path) -> Path | None:
    """The nearest folder from `folder` upwards that is the top of a git repository."""
    folder = _plain(folder)
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)


def _plain(path: Path) -> Path:
    """`path` from the root on and without `..`, of which Python's own comparisons of paths know nothing."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` would follow links, to which rules of ignoring apply themselves


def _top(path: Path) -> Path:
    here = Path.cwd()
    return repository_of(path.parent) or (here if path.is_relative_to(here) else path.parent)


def _either(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)))


_SECRET, _SAMPLE = _either(SECRETS), _either(HARMLESS)


def _is_ignored(path: Path, top: Path, *, alone: bool) -> bool:
    inner = path.relative_to(top).parts
    for length in range(max(1, len(inner)) if alone else 1, len(inner) + 1):
        part = top.joinpath(*inner[:length])
        if part.name == ".git" or _decision(part, top, is_folder=length < len(inner) or path.is_dir()):
            return True
    return False


def _decision(path: Path, top: Path, *, is_folder: bool) -> bool:
    """What the rules of all folders from `top` down to the one of `path` say about it alone."""
    decided = False
    for folder in (top, *_below(top, path.parent)):
        for rules in _rules_of(folder):
            name = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
            said = [pattern.include for pattern in rules.patterns if pattern.include is not None and _is_meant(pattern, name)]
            decided = said[-1] if said else decided
    return decided


def _is_meant(pattern: RegexPattern, name: str) -> bool:
    """Whether a pattern matches `name` itself; the library's also match what lies in a folder that they match."""
    found = pattern.regex.match(name) if pattern.regex else None
    if found is None or pattern.regex is None:
        return False
    whole = "ps_d" in pattern.regex.groupindex  # the mark of a pattern that can end in a folder; `a/**` has none
    return found.end() == len(name) if whole else pattern.regex.pattern == "." or found.end() < len(name)


def _below(top: Path, folder: Path) -> list[Path]:
    inner = folder.relative_to(top).parts
    return [top.joinpath(*inner[:length]) for length in range(1, len(inner) + 1)]


def _rules_of(folder: Path) -> Iterator[GitIgnoreSpec]:
    for path in (folder / ".git" / "info" / "exclude", *(folder / name for name in RULES)):
        with suppress(OSError):
            yield _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1024)
def _read(path: Path, changed: int) -> GitIgnoreSpec:
    """The rules in a file, read again when it has `changed`."""
    from pathspec import GitIgnoreSpec

    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return GitIgnoreSpec.from_lines(line for line in lines if _is_pattern(line))


def _is_pattern(line: str) -> bool:
    """Whether git would read the line as a pattern; it passes over what it cannot understand."""
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True
