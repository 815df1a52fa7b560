"""What reaches the screen: whole blocks of Markdown, and no control characters."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.cli.markdown import split_blocks
from assistant.cli.terminal import printable

lines = st.lists(st.sampled_from(["word", "", "```python", "```", "~~~~", "  x = 1", "# title", "````"]), max_size=12)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(lines=lines)
def test_blocks_joined_are_the_text(lines: list[str]) -> None:
    text = "\n".join(lines)
    whole, rest = split_blocks(text)
    assert text.strip("\n").startswith(whole.strip("\n"))
    assert [line for line in f"{whole}\n{rest}".split("\n") if line] == [line for line in lines if line]


def test_a_block_is_whole_at_a_blank_line_or_a_closing_fence() -> None:
    assert split_blocks("one\n\ntwo") == ("one", "two")
    assert split_blocks("one\ntwo\n") == ("", "one\ntwo\n")
    assert split_blocks("```\na\n\nb\n") == ("", "```\na\n\nb\n")
    assert split_blocks("```\na\n\nb\n```\nrest") == ("```\na\n\nb\n```", "rest")
    assert split_blocks("````\n```\n````\nrest") == ("````\n```\n````", "rest")


@settings(max_examples=100, derandomize=True, deadline=None)
@given(text=st.text())
def test_nothing_that_a_terminal_obeys_is_printed(text: str) -> None:
    shown = printable(f"\x1b[2J\x9b0m{text}\x07")
    assert not any(char in shown for char in "\x1b\x9b\x07\r\x08")
    assert len(shown) == len(text) + 8
