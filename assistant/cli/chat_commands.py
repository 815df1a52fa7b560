"""The commands inside a chat: lines that begin with a slash."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assistant import attachments, changes
from assistant.attachments import Attachment
from assistant.chatting import Chat, Said, opened, take_back
from assistant.cli.chat_room import Room
from assistant.cli.history_verbs import print_conversation, print_summaries, write_new
from assistant.cli.options import file_and_lines
from assistant.cli.terminal import printable
from assistant.document import load
from assistant.edits import region_of
from assistant.errors import InputError, UsageError
from assistant.gathering import gather, secret_note
from assistant.history import exporting, records
from assistant.history.records import Summary
from assistant.history.searching import search
from assistant.own_commands import every_command


@dataclass(frozen=True, slots=True)
class Verb:
    """A command: what it takes, what people read of it, and what it does; it may give something to be said."""

    name: str
    takes: str
    help: str
    do: Callable[[Room, str], Said | None]


def carry_out(room: Room, line: str) -> Said | None:
    """What a line says, after its command has been carried out where it is one; None where nothing is to be said.

    Raises:
        UsageError: there is no such command.
        AssistantError: the command cannot be carried out.
    """
    word, _, argument = line.rstrip().partition(" ")
    if not word.startswith("/") or "/" in word[1:] or len(word) < 2:
        return _said(room, line)
    for verb in VERBS:
        if verb.name == word:
            return verb.do(room, argument.strip())
    return _by_table(room, word[1:], argument.strip())


def attach(room: Room, name: str) -> None:
    """Have a file, lines of it, a folder or what fits a pattern go with the next message.

    Raises:
        InputError: it cannot be used.
    """
    path, lines = file_and_lines(name)
    path = _expanded(path)
    found: tuple[Attachment, ...]
    if lines:
        document = load(path)
        found, notes = (attachments.of_lines(document, region_of(document, lines)),), secret_note(path)
    else:
        gathered = gather((str(path),))
        found, notes = tuple(map(attachments.of_file, gathered.documents)), gathered.notes
    room.attached = (*room.attached, *found)
    _tell(notes)


def _tell(notes: tuple[str, ...]) -> None:
    for note in notes:
        print(printable(note), file=sys.stderr)


def completions(line: str, text: str) -> list[str]:
    """What Tab offers for the word `text` of a line."""
    if line.lstrip() == text:
        rows = (f"/{row.name}" for row in every_command() if row.effect == "answer")
        return sorted({f"{name} " for name in (*(verb.name for verb in VERBS), *rows) if name.startswith(text)})
    if line.startswith(("/file ", "/save ")):
        try:
            typed = _expanded(Path(text))
        except InputError:
            return []
        folder = typed if text.endswith("/") or not text else typed.parent
        found = sorted(folder.glob("*")) if folder.is_dir() else []
        names = [f"{text[: len(text) - len(typed.name)] if not text.endswith('/') else text}{path.name}" for path in found]
        return [f"{name}/" if path.is_dir() else name for name, path in zip(names, found, strict=True) if name.startswith(text)]
    return []


def _said(room: Room, line: str) -> Said:
    return Said(line, room.attached, max_tokens=room.options.max_tokens, temperature=room.options.temperature)


def _by_table(room: Room, name: str, argument: str) -> Said:
    for row in every_command():
        if row.name == name and row.effect == "answer":
            return Said(argument, room.attached, row, max_tokens=room.options.max_tokens, temperature=room.options.temperature)
        if row.name == name:
            raise UsageError(f"/{name} changes files, which a chat does not.", f"Leave, and use: assistant {name} FILE.")
    raise UsageError(
        f"There is no command /{name[:40]}.", "/help lists those there are; a space before the slash sends it as text."
    )


def _help(room: Room, argument: str) -> None:
    own = [
        (f"/{row.name}", "[WORDS]", f"{row.title}, of what is attached")
        for row in every_command()
        if row.effect == "answer" and row.name != "ask"
    ]
    for name, takes, text in (*((verb.name, verb.takes, verb.help) for verb in VERBS), *own):
        print(f"  {f'{name} {takes}':<24} {text}")
    print('  A line that ends with \\ goes on in the next; """ begins and ends a text of several lines.')


def _file(room: Room, argument: str) -> None:
    for name in _names(argument):
        attach(room, name)
    names = ", ".join(printable(each.name) for each in room.attached)
    print(
        f"Goes with the next message: {names}."
        if names
        else "Nothing is attached; /file PATH attaches a file, /diff what has changed."
    )


def _names(argument: str) -> list[str]:
    """The files that are named: one whose name holds spaces, or several, with quotes around such names."""
    try:
        return [argument] if argument and _expanded(Path(argument)).exists() else shlex.split(argument)
    except (ValueError, OSError):  # a quote that is not closed; a name that no file can have
        return [argument]


def _expanded(path: Path) -> Path:
    """`path` with the home that its `~` stands for.

    Raises:
        InputError: there is no such user.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise InputError(f"{path} begins with the home of nobody.", "Check the name after the ~.") from error


def _diff(room: Room, argument: str) -> None:
    if argument not in ("", "--staged"):
        raise UsageError(f"/diff does not know {argument!r}.", "Use /diff or /diff --staged.")
    text, notes = changes.diff(Path.cwd(), staged=bool(argument))
    _tell(notes)
    room.attached = (*room.attached, attachments.of_diff(f"git diff {argument}".strip(), text))
    print(f"Goes with the next message: {text.count(chr(10)):,} lines of changes.")


def _drop(room: Room, argument: str) -> None:
    room.attached = ()
    print("Nothing is attached any more.")


def _model(room: Room, argument: str) -> None:
    if argument:
        room.options.model = argument
    print(
        f"From now on: {argument}." if argument else f"Model: {room.options.model or 'as the settings or the machine decide'}."
    )


def _new(room: Room, argument: str) -> None:
    room.chat, room.last, room.attached = Chat(title=argument[: records.TITLE_LENGTH], kept=room.keeps), None, ()
    print("A new chat.")


def _list(room: Room, argument: str) -> None:
    found = tuple(hit.summary for hit in search(argument)) if argument else records.listed(20)
    print_summaries(found)
    if not found:
        print("No conversation has all of these words." if argument else "No conversation is kept yet.")


def _open(room: Room, argument: str) -> None:
    if not argument:
        raise UsageError("/open needs the id of a conversation.", "/list shows them.")
    room.chat, room.last, room.attached = opened(argument), None, ()
    room.chat.kept = room.keeps
    print_conversation(room.chat.entries[-2:])


def _save(room: Room, argument: str) -> None:
    if not argument:
        raise UsageError("/save needs the name of a new file.", "FILE.md for people, FILE.jsonl as a row for training.")
    entries = room.chat.entries
    if not entries:
        raise InputError("Nothing has been said yet.", "Ask something first.")
    summary = Summary(room.chat.id, room.chat.title, entries[0].created or _now(), _now(), len(entries))
    row = exporting.training_row(summary, entries)
    parts = [f"{row}\n"] if row and argument.endswith(".jsonl") else list(exporting.markdown(summary, entries))
    write_new(_expanded(Path(argument)), iter(parts))
    print(f"Wrote {printable(argument)}.")


def _undo(room: Room, argument: str) -> None:
    gone = take_back(room.chat, _exchange(room.chat))
    print("Taken back: " + printable(gone[0].shown.strip().split("\n")[0][:60]) if gone else "Nothing has been said yet.")


def _retry(room: Room, argument: str) -> Said:
    return _again(room)


def _edit(room: Room, argument: str) -> None:
    said = _again(room)
    room.attached, room.draft = said.attachments, said.text.replace("\n", " ")
    print("Change it and press Enter.")


def _again(room: Room) -> Said:
    """What was said last, taken back from the chat, so that it can be said anew."""
    if room.last is not None and not room.answered:
        return room.last  # it is not in the chat
    gone = take_back(room.chat, _exchange(room.chat))
    if not gone:
        raise InputError("Nothing has been said yet.", "Ask something first.")
    return room.last or Said(gone[0].content, max_tokens=room.options.max_tokens, temperature=room.options.temperature)


def _exchange(chat: Chat) -> int:
    """How many messages the last exchange has: a question and its answer, or a question alone."""
    return min(len(chat.entries), 2 if chat.entries and chat.entries[-1].role == "assistant" else 1)


def _quit(room: Room, argument: str) -> None:
    room.left = 0


def _now() -> float:
    import time

    return time.time()


VERBS = (
    Verb("/help", "", "this list", _help),
    Verb("/file", "[PATH[:A-B]]", "show a file, lines of it, or a folder to the model with the next message", _file),
    Verb("/diff", "[--staged]", "show what git says has changed with the next message", _diff),
    Verb("/drop", "", "attach nothing after all", _drop),
    Verb("/model", "[NAME]", "say which model answers, or have another one answer", _model),
    Verb("/new", "[TITLE]", "begin a new chat", _new),
    Verb("/list", "[WORDS]", "list conversations, or those with these words", _list),
    Verb("/open", "ID", "go on with another conversation", _open),
    Verb("/save", "FILE", "write this chat to a new file, .md or .jsonl", _save),
    Verb("/undo", "", "take back the last question and its answer", _undo),
    Verb("/retry", "", "ask the last question again", _retry),
    Verb("/edit", "", "change the last question and ask it again", _edit),
    Verb("/quit", "", "leave, as Ctrl-D does", _quit),
    Verb("/exit", "", "the same", _quit),
)
