"""What the engines are given to do: chats, a long prompt, edits of real bugs, a completion.  Token ids, drawn with one seed."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from assistant.conversation import Conversation, start
from assistant.template import CHATML, Tokenizer, encode
from benchmarks.turns import TOPICS

SEED = 7


@dataclass(frozen=True, slots=True)
class Task:
    """One request: a name, the prompt, tokens of the reply, the text that the reply is likely to repeat, and where it ends."""

    name: str
    prompt: tuple[int, ...]
    tokens: int
    prediction: tuple[int, ...] = ()
    stops: frozenset[int] = frozenset()


def chats(tokenizer: Tokenizer, count: int, tokens: int = 64) -> list[Task]:
    """Short questions with prose for an answer."""
    asked = [f"Number {number}: explain {TOPICS[number % len(TOPICS)]} in Python to a beginner." for number in range(count)]
    return [_task(f"chat {number}", start(text), tokenizer, tokens) for number, text in enumerate(asked)]


def long_prompt(tokenizer: Tokenizer, length: int, number: int) -> Task:
    """A prompt of just so many tokens of code, which no other prompt begins like."""
    code = f"# file {number}\n" + "\n\n".join(program for _, program, _ in _shuffled(_quixbugs(), number))
    ids = tokenizer.encode(code)
    return Task(f"prompt of {length} {number}", tuple((ids * (length // len(ids) + 1))[:length]), 1)


def edits(tokenizer: Tokenizer, quixbugs: int, humaneval: int) -> list[Task]:
    """Functions with a bug, to be written again without it; the reply begins inside a code block, as the product asks."""
    drawn = [*_shuffled(_quixbugs(), SEED)[:quixbugs], *_shuffled(_humanevalpack(), SEED)[:humaneval]]
    return [_edit(name, program, purpose, tokenizer) for name, program, purpose in drawn]


def copied(reply: Sequence[int], old: Sequence[int]) -> float:
    """The share of a reply's tokens that stand in the old text, in the same order."""
    blocks = SequenceMatcher(None, list(old), list(reply), autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / max(1, len(reply))


def completions(tokenizer: Tokenizer, count: int) -> list[Task]:
    """A line to be finished at the end of some code: 24 tokens at most."""
    programs = _shuffled(_quixbugs(), SEED + 1)[:count]
    return [Task(f"completion {name}", tuple(tokenizer.encode(_beginning(program))), 24) for name, program, _ in programs]


def second_turn(tokenizer: Tokenizer, first: Task, reply: Sequence[int]) -> Task:
    """The next question of a conversation, as the template writes it after the reply."""
    follow = encode(CHATML, start("And when would you not use it?"), tokenizer)
    end = tokenizer.control_id("<|im_end|>")
    assert end is not None
    return Task("second turn", (*first.prompt, *reply, end, *tokenizer.encode("\n"), *follow.ids), 8)


def _edit(name: str, program: str, purpose: str, tokenizer: Tokenizer) -> Task:
    question = f"This function has a bug. {purpose}\n\n```python\n{program}\n```\n\nReply with the whole corrected code."
    conversation = start(question, "You mend code and change nothing else.").then("assistant", "```python\n")
    prediction = tuple(tokenizer.encode(f"{program}\n```"))
    return _task(f"edit {name}", conversation, tokenizer, len(prediction) + 64, prediction)


def _task(name: str, conversation: Conversation, tokenizer: Tokenizer, tokens: int, prediction: tuple[int, ...] = ()) -> Task:
    encoded = encode(CHATML, conversation, tokenizer)
    fence = frozenset(tokenizer.encode("```")[:1]) if prediction else frozenset[int]()
    return Task(name, encoded.ids, tokens, prediction, encoded.stop_ids | fence)


def _beginning(program: str) -> str:
    lines = program.splitlines()
    return "\n".join(lines[: max(2, len(lines) * 2 // 3)]) + "\n    "


def _quixbugs() -> list[tuple[str, str, str]]:
    rows = _rows("quixbugs/quixbugs_python.jsonl")
    return [(row["name"], row["buggy_program"], row["docstring"].strip('" \n').splitlines()[0]) for row in rows]


def _humanevalpack() -> list[tuple[str, str, str]]:
    rows = _rows("humanevalpack/python.jsonl")
    return [(row["entry_point"], row["prompt"] + row["buggy_solution"], "Its docstring says what it is for.") for row in rows]


def _rows(name: str) -> list[dict[str, str]]:
    folder = os.environ.get("STARCHAT_DATA")
    if not folder:
        raise SystemExit("bench-engine: set STARCHAT_DATA to the folder with quixbugs/ and humanevalpack/.")
    with (Path(folder) / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _shuffled(rows: list[tuple[str, str, str]], seed: int) -> list[tuple[str, str, str]]:
    return random.Random(seed).sample(rows, len(rows))
