"""The line diff is the smallest there is, and the unified one is what git applies."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.diff import MAX_DIFFERENCES, hunks, unified
from assistant.document import Document
from assistant.edits import Change, EditPlan, unified_diff

LINES = st.lists(st.sampled_from("abcd"), max_size=12)


def longest_common(old: list[str], new: list[str]) -> int:
    row = [0] * (len(new) + 1)
    for one in old:
        corner = 0
        for column, other in enumerate(new, 1):
            corner, row[column] = row[column], corner + 1 if one == other else max(row[column], row[column - 1])
    return row[-1]


def patched(old: list, new: list) -> tuple[list, int]:
    result, place, cost = [], 0, 0
    for hunk in hunks(old, new):
        result += old[place : hunk.start] + new[hunk.new_start : hunk.new_end]
        place, cost = hunk.end, cost + hunk.end - hunk.start + hunk.new_end - hunk.new_start
    return result + old[place:], cost


@settings(max_examples=500, deadline=None, derandomize=True)
@given(LINES, LINES)
def test_hunks_lead_to_the_new_text_at_the_least_cost(old, new):
    assert patched(old, new) == (new, len(old) + len(new) - 2 * longest_common(old, new))


def test_very_different_texts_are_still_patched_right():
    old, new = list(range(MAX_DIFFERENCES)), list(range(MAX_DIFFERENCES, 0, -1))
    assert patched(old, new)[0] == new


NAMES = ["plain.txt", "two words.txt", "ünï.txt", 'quo"te\\.txt', "deep/er/file.py"]


def case(number: int) -> tuple[str, str]:
    chance = random.Random(number)
    words = ["a", "b", "", "c\x0c", "d\u2028", "e\r", "-- f", "+++ g", "\\ No newline at end of file"]
    old = [chance.choice(words) for _ in range(chance.randrange(1, 25))]
    new = [word for word in old if chance.random() > 0.15]
    for _ in range(chance.randrange(1, 4)):
        new.insert(chance.randrange(len(new) + 1), chance.choice(words) + "new")
    finish = ["\n", "\r\n"][number % 2]
    return finish.join(old) + chance.choice(["", finish]), finish.join(new) + chance.choice(["", finish])


def test_git_applies_every_diff(tmp_path: Path):
    folder, wanted, patches = tmp_path / "tree", {}, []
    for number in range(60):
        old, new = case(number)
        name = f"{number}/{NAMES[number % len(NAMES)]}"
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(old.encode())
        patch = unified(old, new, name)
        assert bool(patch) == (old != new)
        patches.append(patch)
        wanted[name] = new
    command = ["git", "-c", "core.autocrlf=false", "apply", "--whitespace=nowarn", "-p1", "-"]
    subprocess.run(command, input="".join(patches).encode(), cwd=folder, check=True, capture_output=True)
    for name, new in wanted.items():
        assert (folder / name).read_bytes() == new.encode(), name


@pytest.mark.parametrize(("path", "header"), [(None, "untitled"), ("src/a.py", "src/a.py"), ("/elsewhere/secret/a.py", "a.py")])
def test_a_diff_names_the_file_relative_to_the_root(tmp_path, path, header):
    place = None if path is None else (tmp_path / path)
    document = Document(place, "a\n")
    lines = unified_diff(document, EditPlan((Change(0, 1, "b"),)), tmp_path).splitlines()
    assert lines == [f"--- a/{header}", f"+++ b/{header}", "@@ -1,1 +1,1 @@", "-a", "+b"]
    assert unified_diff(document, EditPlan(()), tmp_path) == ""


@pytest.mark.parametrize("seed", range(6))
def test_large_texts_with_repeated_lines_are_patched_right(seed: int) -> None:
    """Too many pairs of lines for the searches: what stands once in both texts shows the way."""
    chance = random.Random(seed)
    old = [chance.choice(["", "x", "y", f"line {chance.random()}"]) for _ in range(1500)]
    new = [line if chance.random() < 0.4 else f"{line} " for line in old]
    del new[200:400]
    new[900:900] = old[100:150]
    assert patched(old, new)[0] == new
