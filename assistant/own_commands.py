"""Commands that users write themselves: one Markdown file each, `commands/NAME.md` in their settings folder.

    ---
    title: Simplify this code
    effect: edit
    languages: python, javascript
    ---
    Simplify the code. Keep its behaviour and its public names.

The text below the front matter is the instruction.  In it `$question` stands for words that are given when the command is run,
`$file` for the name of the file that it is about, `$language` for its language or that of a new file; any other dollar sign is
one.  For `effect: file`, `language` says what the new file is written in.  Nothing is ever read from a workspace.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from assistant.commands import COMMANDS, EFFECTS, Command, sections_of
from assistant.errors import SettingsError, UsageError
from assistant.languages import LANGUAGES, Language, language_named
from assistant.settings import settings_file

RESERVED = frozenset(
    (
        "cancel",
        "chat",
        "completion",
        "doctor",
        "help",
        "history",
        "models",
        "paths",
        "purge",
        "retry",
        "serve",
        "status",
        "stop",
        "undo",
    )
)
"""Names of other commands of the shell and of the language server."""

MOST_BYTES = 20_000

_KEYS = ("title", "effect", "languages", "language")
_VALUES = "question|file|language"


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that holds no command, and why."""

    name: str
    error: SettingsError


def folder() -> Path:
    """Where users put their commands."""
    return settings_file().parent / "commands"


def own_commands() -> tuple[tuple[Command, ...], tuple[Unusable, ...]]:
    """The user's own commands by name, and the files that hold none; a file is read again when it has changed."""
    rows, unusable = [], []
    try:
        paths = sorted(path for path in folder().glob("*.md") if not path.name.startswith(".") and path.stem != "README")
    except OSError:
        paths = []
    for path in paths:
        try:
            rows.append(_read(path, path.stat().st_mtime_ns))
        except SettingsError as error:
            unusable.append(Unusable(path.stem, error))
        except OSError as error:
            unusable.append(Unusable(path.stem, _error(path, f"cannot be read: {error.strerror}", "Check its permissions.")))
    return tuple(rows), tuple(unusable)


def every_command() -> tuple[Command, ...]:
    """The built-in commands, then the user's own."""
    return (*COMMANDS, *own_commands()[0])


def find(name: str) -> Command:
    """The command called `name`, built-in or the user's own.

    Raises:
        SettingsError: the user's file of this name holds no command.
        UsageError: there is none.
    """
    own, unusable = own_commands()
    for row in (*COMMANDS, *own):
        if row.name == name:
            return row
    for each in unusable:
        if each.name == name:
            raise each.error
    raise UsageError(f"There is no command {name!r}.", f"Commands: {', '.join(row.name for row in (*COMMANDS, *own))}.")


@lru_cache(maxsize=256)
def _read(path: Path, changed: int) -> Command:
    """The command in a file, read again when it has `changed`."""
    head, text = _parts(path)
    name = path.stem
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        raise _error(path, "is no name for a command", "Use small letters, digits and hyphens.")
    if name in RESERVED or name in {row.name for row in COMMANDS}:
        raise _error(path, f"is not used: `{name}` is a command of the assistant's own", "Give the file another name.")
    effect = head.get("effect", "").lower()
    if effect not in EFFECTS:
        what = f"names the effect {effect!r}" if effect else "names no effect"
        raise _error(path, what, f"Write effect: {', '.join(EFFECTS[:-1])} or {EFFECTS[-1]}.")
    if head.get("language") and effect != "file":
        raise _error(path, "has a `language`, which belongs to effect: file", "Write languages: for those that it is for.")
    instruction = re.sub(rf"\$(?!(?:{_VALUES})\b|\{{(?:{_VALUES})\}})", "$$", text)
    return Command(
        name,
        head.get("title") or name,
        EFFECTS[EFFECTS.index(effect)],
        source=_source(effect, instruction),
        languages=tuple(_language(path, each).name for each in _list(head.get("languages", ""))),
        language=_language(path, head["language"]).name if head.get("language") else "",
    )


def _source(effect: str, instruction: str) -> str:
    """The text of a prompt file for this instruction."""
    own = sections_of("own")
    wanted = {"system": own["system"], "user": own[effect]}
    wanted |= {heading.partition(" ")[2]: text for heading, text in own.items() if heading.startswith(f"{effect} ")}
    return "\n\n".join(f"## {heading}\n\n{text.replace('$instruction', instruction)}" for heading, text in wanted.items())


def _parts(path: Path) -> tuple[dict[str, str], str]:
    """The front matter of a file, and the text below it."""
    raw = path.read_bytes()
    if len(raw) > MOST_BYTES:
        raise _error(path, f"has {len(raw):,} bytes", f"At most {MOST_BYTES:,} are read.")
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise _error(path, "is not in UTF-8", "Save it in UTF-8.") from error
    found = re.match(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)(.*)", text, re.DOTALL | re.MULTILINE)
    if not found:
        raise _error(path, "has no front matter", "Begin it with --- and lines such as `effect: edit`, and end these with ---.")
    if not found[2].strip():
        raise _error(path, "has no instruction", "Write it below the front matter.")
    return _head(path, found[1]), re.sub(r"^## ", "### ", found[2].strip(), flags=re.MULTILINE)


def _head(path: Path, text: str) -> dict[str, str]:
    head: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line.lstrip().startswith("- ") and key == "languages":  # a list in lines of its own
            head[key] = f"{head[key]},{line.lstrip()[2:]}"
            continue
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or key not in _KEYS:
            raise _error(path, f"has a line that is not understood: {line.strip()[:60]!r}", f"Known: {', '.join(_KEYS)}.")
        if key in head:
            raise _error(path, f"has two lines `{key}:`", "Keep one of them.")
        head[key] = "".join(each for each in value.strip("\"'") if each.isprintable())
    return head


def _list(value: str) -> list[str]:
    return [each.strip().strip("\"'") for each in value.strip("[] ").split(",") if each.strip()]


def _language(path: Path, word: str) -> Language:
    found = language_named(word)
    if found is None:
        known = ", ".join(language.fence for language in LANGUAGES)
        raise _error(path, f"names the unknown language {word!r}", f"Known: {known}.")
    return found


def _error(path: Path, what: str, remedy: str) -> SettingsError:
    return SettingsError(f"{path} {what}.", remedy)
