"""What a model nearly wrote: every beginning is other code, at the place of the hesitation, and comes once."""

from __future__ import annotations

import random
from itertools import pairwise
from math import exp, log

import pytest

from assistant.comments import silent_spans
from assistant.hesitation import LEAST, Beginning, Hesitations, beginnings
from assistant.languages import PLAIN, PYTHON, language_named
from assistant.wire import Token
from tests.scale import rounds

CODE = '''def mean(numbers):
    """The mean of the numbers."""
    # They are many.
    total = 0
    for number in numbers:
        total += number
    return total / len(numbers) - 1
'''


def tokens(code: str, others: dict[int, list[tuple[str, float]]]) -> list[Token]:
    """`code` in pieces that begin at these places, with these alternatives (text, probability)."""
    ends = [*sorted({0, *others}), len(code)]
    return [
        Token(code[start:end], -0.1, ((code[start:end], -0.1), *((text, log(share)) for text, share in others.get(start, ()))))
        for start, end in pairwise(ends)
    ]


def found(others: dict[str, list[tuple[str, float]]]) -> list[tuple[str, int]]:
    told = beginnings("", tokens(CODE, {CODE.index(place): each for place, each in others.items()}), CODE, PYTHON)
    return [(one.text, one.percent) for one in told]


def test_a_beginning_ends_in_what_the_model_nearly_wrote_and_the_likeliest_comes_first():
    assert found({"+= number": [("-=", 0.1), ("= number", 0.4)], " / len": [(" //", 0.2)]}) == [
        (CODE[: CODE.index("+= number")] + "= number", 40),
        (CODE[: CODE.index(" / len")] + " //", 20),
        (CODE[: CODE.index("+= number")] + "-=", 10),
    ]


def test_what_was_begun_with_counts():
    begun = CODE[: CODE.index("+=")]
    told = beginnings(begun, tokens(CODE, {len(begun): [("-=", 0.3)]})[1:], CODE, PYTHON)
    assert [one.text for one in told] == [begun + "-="]


@pytest.mark.parametrize(
    ("place", "other"),
    [
        ("They", "There"),  # in a comment
        ("mean of", "sum of"),  # in a docstring
        ("\n    for", "\n\n"),  # blank lines
        (" - 1\n", "  # comment"),
        ("total = 0", "# comment"),
        ("total = 0", '"""'),
        (" / len", "\ufffd"),  # half a character
        (" / len", "```"),
        (" / len", ""),
        ("+= number", "-="),  # too unlikely
    ],
)
def test_what_can_be_no_other_code_is_left_out(place: str, other: str):
    share = exp(LEAST) / 2 if other == "-=" else 0.3
    assert found({place: [(other, share)]}) == []


@pytest.mark.parametrize(
    ("place", "other"), [(" - 1\n", "\n"), (" - 1\n", " - 1"), ("        total +=", "    "), ("(numbers) -", "(numbers[")]
)
def test_a_line_that_ends_sooner_and_another_indentation_are_other_code(place: str, other: str):
    assert found({place: [(other, 0.3)]}) == [(CODE[: CODE.index(place)] + other, 30)]


def test_tokens_of_another_text_say_nothing():
    assert beginnings("", tokens(CODE.replace("mean", "sum"), {}), CODE, PYTHON) == ()
    assert beginnings("x", tokens(CODE, {20: [(" //", 0.2)]}), CODE, PYTHON) == ()


def test_every_beginning_is_the_text_up_to_a_token_and_one_of_its_alternatives():
    for seed in range(rounds(2000)):
        dice = random.Random(seed)
        words = ["+", " -", "\n", "    ", "x", " #", "é", "`", '"', "🙂", "return"]
        places = dice.sample(range(len(CODE)), 30)
        pieces = tokens(CODE, {place: [(dice.choice(words), dice.random()) for _ in range(3)] for place in places})
        language = dice.choice([PYTHON, PLAIN])
        told = beginnings("", pieces, CODE, language)
        assert [one.logprob for one in told] == sorted((one.logprob for one in told), reverse=True)
        starts = {sum(len(piece.text) for piece in pieces[:index]): piece for index, piece in enumerate(pieces)}
        for one in told:
            assert any(
                one.text == CODE[:start] + text and logprob == one.logprob >= LEAST and text != piece.text
                for start, piece in starts.items()
                for text, logprob in piece.top
            )


def test_each_waits_once_and_the_likeliest_is_next():
    waiting = Hesitations()
    waiting.add([Beginning("a", -2.0), Beginning("b", -1.0)])
    waiting.add([Beginning("a", -0.5), Beginning("c", -1.5)])
    assert [waiting.next() for _ in range(4)] == [Beginning("b", -1.0), Beginning("c", -1.5), Beginning("a", -2.0), None]


def test_comments_and_docstrings_are_found_by_characters():
    for seed in range(rounds(1000)):
        dice = random.Random(seed)
        odd = "".join(dice.choice("é🙂xß ") for _ in range(dice.randrange(5)))
        code = f'def f():\n    """{odd}"""\n    return "{odd}"  # {odd}end\n'
        spans = silent_spans(code, PYTHON)
        assert [code[start:end] for start, end in spans] == [f'"""{odd}"""', f"# {odd}end"]
    script = language_named("JavaScript")
    assert script is not None
    assert [("/* é */ let a = 1 // 🙂")[start:end] for start, end in silent_spans("/* é */ let a = 1 // 🙂", script)] == [
        "/* é */",
        "// 🙂",
    ]
    assert silent_spans("# x", PLAIN) == ()


def test_characters_that_are_cut_into_tokens_are_passed_over():
    code = 'def f():\n    print("→🙂é")\n    return a - b\n'
    place = code.index("-")
    pieces = [
        (code[: code.index("→")], ()),
        ("\ufffd", ()),
        ("\ufffd\ufffd", ()),
        ("\ufffd", ()),
        ('")\n    return a ', ()),
        ("-", (("+", -1.0),)),
    ]
    told = beginnings("", [Token(text, -0.1, top) for text, top in (*pieces, (code[place + 1 :], ()))], code, PYTHON)
    assert told == (Beginning(code[:place] + "+", -1.0),)
