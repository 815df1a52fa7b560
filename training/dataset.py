"""From rows to dialogues: validated one by one, filtered, mixed by weight, and split so that no tree falls on both sides."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assistant.commands import command
from assistant.conversation import Conversation, Message, from_openai
from assistant.errors import InputError, UsageError
from training import sources, trees
from training.config import Recipe
from training.provenance import licence_of_data
from training.sources import Row, Split

# More bad rows than this share mean that the file is not what the recipe takes it for.
REJECT_LIMIT = 0.01


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One dialogue and where it comes from.  tree: the name that all paths of its tree share."""

    conversation: Conversation
    tree: str
    source: str
    line: int
    licence: str = "unknown"
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A row, or part of one, that cannot be used, and why."""

    source: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a recipe's data come to.  notes: what was done to them, in sentences."""

    train: tuple[Dialogue, ...]
    test: tuple[Dialogue, ...]
    rejects: tuple[Reject, ...]
    notes: tuple[str, ...]

    @property
    def licences(self) -> Counter[str]:
        """How many dialogues of each licence."""
        return Counter(dialogue.licence for dialogue in self.train)


def load(recipe: Recipe, rejects_file: Path | None = None) -> Corpus:
    """The dialogues that the recipe asks for; bad rows go to `rejects_file` with their line numbers.

    Raises:
        InputError: no dialogue is left, or more than one row in a hundred is bad; the message names the first ones.
        DownloadError: the hub cannot be reached.
    """
    if not recipe.data:
        raise UsageError(f"The recipe {recipe.name} names no data.", "Set data=FILE.jsonl, a folder or a hub data set.")
    rejects: list[Reject] = []
    counts: Counter[str] = Counter()
    read: dict[Split, list[list[Dialogue]]] = {
        split: [_source(name, split, rejects, counts) for name in recipe.data] for split in ("train", "test")
    }
    if rejects_file:
        write_rejects(rejects_file, rejects)
    _stop_if_many(rejects, counts.total(), rejects_file)
    notes = [f"data: {', '.join(sources.origin(name) for name in recipe.data)}"]
    for split, parts in read.items():
        named = zip(recipe.data, parts, strict=True)
        read[split] = [_kept(part, recipe, notes, f"{sources.origin(name)} ({split})") for name, part in named]
    train, test = _split(_mixed(read["train"], recipe), [one for part in read["test"] for one in part], recipe, notes)
    if not train:
        raise _nothing(recipe, counts)
    chosen = _some(train, recipe.max_dialogues, recipe), _some(test, recipe.max_eval_dialogues, recipe)
    train, test = ([_introduced(one, recipe) for one in part] for part in chosen)
    return Corpus(tuple(train), tuple(test), tuple(rejects), tuple(notes))


def write_rejects(path: Path, rejects: Iterable[Reject]) -> None:
    """One JSON object a line: source, line, reason."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps({"source": one.source, "line": one.line, "reason": one.reason}) for one in rejects)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def dialogues(row: Row) -> list[Dialogue]:
    """The dialogues of one row: `messages`, a message tree, or a prompt and its completion.

    Raises:
        ValueError: saying what is wrong with the row.
    """
    if row.value is None:
        raise ValueError(row.problem)
    value = row.value
    if trees.is_tree(value):
        found, tree, language = trees.paths(value), trees.identity(value), trees.languages(value)
    else:
        messages = _messages(value)
        found, tree, language = [messages], _tree(value, messages), value.get("lang")
    if not found:
        raise ValueError("the tree has no assistant turn")
    licence = _writable(str(value.get("license") or value.get("licence") or "unknown"))
    language = language if isinstance(language, str) else None
    return [Dialogue(_conversation(path), _writable(tree), row.source, row.line, licence, language) for path in found]


def _writable(text: str) -> str:
    """`text` without halves of surrogate pairs, which JSON can hold, and no page and no terminal."""
    return text.encode("utf-8", "replace").decode()


def _nothing(recipe: Recipe, counts: Counter[str]) -> InputError:
    """Why there is nothing to train on: no rows, or none that the recipe's keys leave."""
    named = ", ".join(map(sources.place, recipe.data))
    if not counts.total():
        return InputError(f"There is no row to train on in {named}.", "Name data with one JSON object on each line.")
    keys = [key for key in ("languages", "code_only", "weights") if getattr(recipe, key)]
    cause = f"Change {' or '.join(keys)}" if keys else "Take rows out of the test file whose trees training needs"
    return InputError(f"No dialogue is left to train on of {counts.total()} rows in {named}.", f"{cause}, or name more data.")


def _source(name: str, split: Split, rejects: list[Reject], counts: Counter[str]) -> list[Dialogue]:
    """The good dialogues of a source's split; bad rows are added to `rejects`, and all rows to `counts` under its name."""
    found: list[Dialogue] = []
    for row in sources.rows(name, split):
        counts[name] += 1
        try:
            found += dialogues(row)
        except ValueError as error:
            rejects.append(Reject(row.source, row.line, str(error)))
    if any(one.licence == "unknown" for one in found):
        stated = licence_of_data(sources.place(name))
        found = [replace(one, licence=stated) if one.licence == "unknown" else one for one in found]
    return found


_COMPLETIONS = ("completion", "response", "output", "answer")
_PROMPTS = ("prompt", "instruction", "question")


def _messages(value: Mapping[str, Any]) -> list[dict[str, str]]:
    if "messages" in value:
        if not isinstance(value["messages"], list):
            raise ValueError(f"`messages` is a {type(value['messages']).__name__}, not a list")
        return value["messages"]
    prompt = next((value[key] for key in _PROMPTS if key in value), None)
    completion = next((value[key] for key in _COMPLETIONS if key in value), None)
    empty = [key for key in (*_PROMPTS, *_COMPLETIONS) if key in value and value[key] is None]
    if empty:
        raise ValueError(f"the column {empty[0]} is empty")
    if prompt is None or completion is None:
        raise ValueError(
            f"no `messages`, no tree and no prompt with completion; the columns are {', '.join(map(str, value))}"[:200]
        )
    extra = value.get("input")
    asked = f"{prompt}\n\n{extra}" if extra and isinstance(extra, str) else prompt
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": completion}]


def _conversation(messages: list[dict[str, str]]) -> Conversation:
    """The dialogue up to its last assistant turn; what follows teaches nothing."""
    try:
        conversation = from_openai(messages)
    except UsageError as error:
        raise ValueError(str(error).rstrip(".")) from error
    for number, (turn, role) in enumerate(zip(conversation.turns, _alternating(), strict=False)):
        if turn.role != role:
            raise ValueError(f"turn {number + 1} is the {turn.role}'s, where the {role}'s was expected")
        if not turn.content.strip():
            raise ValueError(f"turn {number + 1} is empty")
    if len(conversation.turns) < 2:
        raise ValueError("there is no assistant turn")
    return conversation if conversation.continues_assistant else Conversation(conversation.messages[:-1])


def _alternating() -> Iterator[str]:
    while True:
        yield from ("user", "assistant")


def _tree(value: Mapping[str, Any], messages: list[dict[str, str]]) -> str:
    """The name of the row's tree; rows that say none belong together where their first user message is the same."""
    for key in ("group", "message_tree_id", "tree_id"):
        if isinstance(value.get(key), str):
            return str(value[key])
    first = next((one for one in messages if isinstance(one, Mapping) and one.get("role") == "user"), None)
    return hashlib.sha256(repr(first).encode("utf-8", "replace")).hexdigest()[:24]


def _stop_if_many(rejects: list[Reject], rows: int, rejects_file: Path | None) -> None:
    if not rejects or len(rejects) <= REJECT_LIMIT * rows:
        return
    where = f" All are listed in {rejects_file}." if rejects_file else ""
    raise InputError(
        f"{len(rejects)} of {rows} rows cannot be used, which is more than 1 %: {_shown(rejects)}.",
        f"Each line has to hold one JSON object with `messages`, a message tree, or a prompt and its completion.{where}",
    )


def _shown(rejects: list[Reject]) -> str:
    """The first faults, each with the first lines that have it."""
    lines: dict[tuple[str, str], list[int]] = {}
    for one in rejects:
        lines.setdefault((one.source, one.reason), []).append(one.line)
    shown = []
    for (source, reason), found in list(lines.items())[:3]:
        numbers = ", ".join(map(str, found[:3])) + (", …" if len(found) > 3 else "")
        shown.append(f"{source} line {numbers}: {reason}")
    return "; ".join(shown)


def _kept(part: list[Dialogue], recipe: Recipe, notes: list[str], name: str) -> list[Dialogue]:
    kept = [one for one in part if _passes(one, recipe)]
    if len(kept) < len(part):
        notes.append(f"{name}: {len(part) - len(kept)} of {len(part)} dialogues left out by languages or code_only")
    return kept


def _passes(dialogue: Dialogue, recipe: Recipe) -> bool:
    if recipe.languages and dialogue.language is not None and dialogue.language not in recipe.languages:
        return False
    return not recipe.code_only or any("```" in turn.content for turn in dialogue.conversation.turns)


def _mixed(parts: list[list[Dialogue]], recipe: Recipe) -> list[Dialogue]:
    """Each source as often as its weight says: whole copies, and a seeded sample for the rest."""
    mixed: list[Dialogue] = []
    for number, part in enumerate(parts):
        weight = recipe.weights[number] if recipe.weights else 1.0
        mixed += part * int(weight)
        mixed += random.Random(f"{recipe.seed} mixture {number}").sample(part, round((weight - int(weight)) * len(part)))
    return mixed


def _split(
    train: list[Dialogue], test: list[Dialogue], recipe: Recipe, notes: list[str]
) -> tuple[list[Dialogue], list[Dialogue]]:
    if not test and recipe.eval_share:
        held = {one.tree for one in train if _fraction(one.tree, recipe.seed) < recipe.eval_share}
        held = held if len(held) < len({one.tree for one in train}) else set()
        test = list({id(one): one for one in train if one.tree in held}.values())
    in_test = {one.tree for one in test}
    kept = [one for one in train if one.tree not in in_test]
    notes.append(f"split: {len(kept)} train and {len(test)} test dialogues; no tree is on both sides")
    return kept, test


def _fraction(tree: str, seed: int) -> float:
    """A number from 0 to 1 that depends on the tree's name alone, so that a split survives new rows."""
    return int.from_bytes(hashlib.sha256(f"{seed} {tree}".encode("utf-8", "replace")).digest()[:8]) / 2**64


def _some(found: list[Dialogue], limit: int, recipe: Recipe) -> list[Dialogue]:
    return random.Random(f"{recipe.seed} choice").sample(found, limit) if 0 < limit < len(found) else found


def _introduced(dialogue: Dialogue, recipe: Recipe) -> Dialogue:
    """With the system text that the recipe gives to dialogues without one."""
    if recipe.system == "own" or dialogue.conversation.system:
        return dialogue
    system = Message("system", command("ask").prompt("system"))
    return replace(dialogue, conversation=Conversation((system, *dialogue.conversation.turns)))
