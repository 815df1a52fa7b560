"""Replies are taken apart the same way wherever the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.languages import language_of_fence
from assistant.refusals import NoCode, Truncated
from assistant.reply import CodeBlock, Reply, ReplyParser, code_of, parse

BACKTICKS = "`" * 3

# text: (prose, thoughts, blocks as (info, code, closed))
REPLIES = {
    "Hello.\n": ("Hello.", "", []),
    "Here:\n```python\nx = 1\n```\nDone.<|im_end|>": ("Here:\nDone.", "", [("python", "x = 1\n", True)]),
    "~~~~js\n```\na\n```\n~~~\n~~~~": ("", "", [("js", "```\na\n```\n~~~\n", True)]),
    "````md\n```py\nx\n```\n````\n": ("", "", [("md", "```py\nx\n```\n", True)]),
    "```md\n# a\n```py\nx\n```\nend\n```\n": ("", "", [("md", "# a\n```py\nx\n```\nend\n", True)]),
    "```\na\n```\nor\n```\nb\n```\n": ("or", "", [("", "a\n", True), ("", "b\n", True)]),
    "1. So:\n   ```py\n   def f():\n       pass\n   ```\n": ("1. So:", "", [("py", "def f():\n    pass\n", True)]),
    "```py\nx = '''\n    ```\n'''\n```": ("", "", [("py", "x = '''\n    ```\n'''\n", True)]),
    "```py\nx\n``": ("", "", [("py", "x\n", False)]),
    "```py\nx = (1,": ("", "", [("py", "x = (1,", False)]),
    "```py\nx = 1<|end|>": ("", "", [("py", "x = 1", False)]),
    "```py\nx = 1\n<|end|>": ("", "", [("py", "x = 1\n", False)]),
    "```py\nx = 1\n```<|im_end|>": ("", "", [("py", "x = 1\n", True)]),
    "```py\r\nx = 1\r\n```\r\nok\r\n": ("ok", "", [("py", "x = 1\r\n", True)]),
    "Use ```x``` or `y`.\n": ("Use ```x``` or `y`.", "", []),
    "```x``` is inline\n": ("```x``` is inline", "", []),
    "<think>\nmaybe ```\n</think>\nYes.\n```\nx\n```": ("Yes.", "maybe ```", [("", "x\n", True)]),
    "<think>a</think>Yes.": ("Yes.", "a", []),
    "<think>never ending": ("", "never ending", []),
    "a thought\n```\nold\n```\n</think>\nYes.": ("Yes.", "a thought", []),
    "a < b and <b>\n": ("a < b and <b>", "", []),
    "<|assistant|>\nYes.</s>": ("Yes.", "", []),
    "```\n```\n": ("", "", [("", "", True)]),
    "```\n\n\n": ("", "", [("", "\n\n", False)]),
    "": ("", "", []),
}


@pytest.mark.parametrize("text", REPLIES)
def test_a_reply_is_taken_apart(text):
    prose, thoughts, blocks = REPLIES[text]
    assert parse(text) == Reply(text, prose, thoughts, tuple(CodeBlock(*block) for block in blocks))


@pytest.mark.parametrize("text", REPLIES)
@pytest.mark.parametrize("prefill", ["", "```python\n"])
def test_where_the_stream_is_cut_does_not_matter(text, prefill):
    whole = parse(text, prefill)
    for cut in range(len(text) + 1):
        parser = ReplyParser(prefill)
        parser.feed(text[:cut])
        parser.feed(text[cut:])
        assert parser.finish() == whole
    letters = ReplyParser(prefill)
    for letter in text:
        letters.feed(letter)
    assert letters.finish() == whole


PIECES = st.sampled_from(
    [
        "```",
        "`",
        "~~~~",
        "py",
        "\n",
        "  ",
        "x = 1",
        "<think>",
        "</think>",
        "<|end|>",
        "\r\n",
        "é",
        "<",
        "````md\n",
        "```\n",
        "\t",
    ]
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(PIECES, max_size=14), st.sampled_from(["", "```py\n", "Sure:\n~~~\n"]))
def test_any_pieces_give_the_same_reply(pieces, prefill):
    parser = ReplyParser(prefill)
    for piece in pieces:
        parser.feed(piece)
    assert parser.finish() == parse("".join(pieces), prefill)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(PIECES, max_size=14))
def test_events_tell_of_every_closed_block(pieces):
    parser = ReplyParser()
    events = [event for piece in pieces for event in parser.feed(piece)] + parser.feed("\n")
    codes: list[str] = []
    closed = 0
    for event in events:
        if event.kind == "open":
            codes.append("")
        elif event.kind == "code":
            codes[-1] += event.text
        closed += event.kind == "close"
    if "</think>" not in pieces:  # which turns what came before it into a thought
        blocks = parser.finish().blocks
        assert closed == sum(block.closed for block in blocks)
        assert [code for code, block in zip(codes, blocks, strict=False) if block.closed] == [
            b.code for b in blocks if b.closed
        ]


def test_text_is_shown_before_its_line_ends():
    parser = ReplyParser()
    assert [(event.kind, event.text) for event in parser.feed("Hello the")] == [("prose", "Hello the")]
    assert [(event.kind, event.text) for event in parser.feed("re\n```py\nx =")] == [
        ("prose", "re\n"),
        ("open", "py"),
        ("code", "x ="),
    ]


def test_a_reply_may_begin_inside_a_fence_of_the_prompt():
    reply = parse("x = 1\n```\nExplained:\n```\nmore\n```\n", "Sure:\n````python\n")
    assert reply.prefilled and reply.blocks[0].code.startswith("x = 1\n```\n")
    reply = parse("x = 1\n```\nlonger example:\n```\nx = 1; y = 2; z = 3\n```\n", "```python\n")
    assert code_of(reply, "stop") == "x = 1\n"


def test_which_of_several_blocks_is_the_code():
    python = language_of_fence("python")
    original, fixed = "```python\ndef f():\n    return 1\n```\n", "```python\ndef f():\n    return 2\n```\n"
    use = "```python\nprint(f())\n```\n"
    shell = "```bash\npip install something-very-long-indeed-and-longer-still\n```\n"
    assert "return 2" in code_of(parse(original + fixed), "stop", python, "f")
    assert "return 2" in code_of(parse(fixed + use), "stop", python, "f")
    assert "return 2" in code_of(parse(shell + fixed), "stop", python)
    assert "return 2" in code_of(parse(fixed + shell), "stop", python, "f")
    assert "pip" in code_of(parse(shell), "stop", python)


@pytest.mark.parametrize("reason", ["length", "loop", "cancelled"])
def test_a_reply_that_did_not_end_by_itself_is_no_code(reason):
    with pytest.raises(Truncated) as refused:
        code_of(parse("```\nx\n```\n"), reason)
    assert refused.value.reply == "```\nx\n```\n"


@pytest.mark.parametrize("text", ["I am sorry.", "```\n\n```", "<think>```\nx\n```", ""])
def test_a_reply_without_code_is_refused(text):
    with pytest.raises(NoCode):
        code_of(parse(text), "stop")
