"""An edit is carried over what was typed meanwhile, or refused; what was typed is never lost."""

from __future__ import annotations

import random
import time

import pytest

from assistant.document import Document
from assistant.edits import EditPlan, Region, rewrite
from assistant.errors import EditConflict
from assistant.lines import split_lines
from assistant.rebase import follow, rebase

LINES = [f"line {number}\n" for number in range(12)]
REGION = Region(4, 7)
BEFORE = "".join(LINES)


def plan_for(text: str = BEFORE, region: Region = REGION, code: str = "line 4\nfive\nline 6\nsix and a half\n") -> EditPlan:
    return rewrite(Document(None, text), region, code)


def test_an_unchanged_text_keeps_its_plan():
    assert rebase(plan_for(), REGION, BEFORE, BEFORE) == plan_for()


def test_typing_around_the_region_moves_the_edit():
    plan = plan_for()
    for number in range(200):
        chance = random.Random(number)
        above, below = LINES[:4], LINES[7:]
        for part in (above, below):
            for _ in range(chance.randrange(3)):
                part.insert(chance.randrange(len(part) + 1), f"typed {chance.random()}\r\n")
            if chance.random() < 0.5:
                del part[chance.randrange(len(part))]
        now = "".join([*above, *LINES[4:7], *below])
        wanted = "".join([*above, "line 4\n", "five\n", "line 6\n", "six and a half\n", *below])
        assert rebase(plan, REGION, BEFORE, now).apply(now) == wanted


def test_typing_inside_the_region_is_a_conflict_that_keeps_the_answer():
    for number in range(100):
        chance = random.Random(number)
        lines = [*LINES]
        place = chance.randrange(4, 7)
        match chance.choice(["change", "remove", "insert"]):
            case "change":
                lines[place] = "typed\n"
            case "remove":
                del lines[place]
            case _:
                lines.insert(chance.randrange(5, 7), "typed\n")
        with pytest.raises(EditConflict) as refused:
            rebase(plan_for(), REGION, BEFORE, "".join(lines))
        assert refused.value.reply == "line 4\nfive\nline 6\nsix and a half\n"


def test_a_copied_region_could_be_either():
    region = "".join(LINES[4:7])
    with pytest.raises(EditConflict):
        rebase(plan_for(), REGION, BEFORE, BEFORE.replace(region, region + region))


def test_a_newline_added_at_the_end_is_no_conflict():
    text = BEFORE.rstrip("\n")
    region = Region(10, 12)
    plan = plan_for(text, region, "line 10\neleven")
    assert rebase(plan, region, text, text + "\n").apply(text + "\n").endswith("line 10\neleven\n")


def test_changed_line_ends_are_a_conflict():
    with pytest.raises(EditConflict):
        rebase(plan_for(), REGION, BEFORE, BEFORE.replace("\n", "\r\n"))


def test_an_emptied_text_is_a_conflict():
    with pytest.raises(EditConflict):
        rebase(plan_for(), REGION, BEFORE, "")
    assert split_lines("") == []


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        ("a b c d e", (1, 3)),
        ("x a b c d e", (2, 4)),
        ("b c d e", (0, 2)),
        ("a B x c d e", (1, 4)),
        ("a x b c d e", (2, 4)),
        ("a b c x d e", (1, 3)),
        ("X Y c d e", (0, 3)),
        ("a b X Y Z e", (1, 5)),
        ("a d e", (1, 1)),
        ("", (0, 0)),
    ],
)
def test_a_region_is_followed(now: str, wanted: tuple[int, int]) -> None:
    before, after = ("".join(f"{word}\n" for word in text.split()) for text in ("a b c d e", now))
    assert follow(Region(1, 3), before, after) == Region(*wanted)


FUNCTION = "def f{0}(a, b):\n    c = a + b\n    if c:\n        return c\n\n    return {0}\n\n\n"


@pytest.mark.parametrize("touched", [False, True])
def test_a_large_file_that_a_formatter_went_over(touched: bool) -> None:
    """Every line of ten thousand but those of the region has changed, and most of them are repeated."""
    before = "".join(FUNCTION.format(number) for number in range(1250))
    region = Region(600 * 8, 600 * 8 + 6)
    now = before.replace("    ", "\t").replace("\n\n\n", "\n\n")
    if not touched:
        kept = FUNCTION.format(600).removesuffix("\n\n")
        now = now.replace(kept.replace("    ", "\t"), kept)
    plan = plan_for(before, region, FUNCTION.format(600).replace("a + b", "a - b").removesuffix("\n\n"))
    began = time.process_time()
    if touched:
        with pytest.raises(EditConflict):
            rebase(plan, region, before, now)
    else:
        assert rebase(plan, region, before, now).apply(now).count("a - b") == 1
    assert follow(region, before, now)
    assert time.process_time() - began < 20
