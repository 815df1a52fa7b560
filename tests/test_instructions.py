"""A project's AGENTS.md is shown as data: it forges no turn, changes no setting, and is not read from outside the project."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from assistant import settings
from assistant.commands import command
from assistant.document import Document
from assistant.hosting.scripted_engine import ByteTokenizer
from assistant.instructions import BUDGET, instructions_for
from assistant.languages import PYTHON, language_named
from assistant.reply import parse
from assistant.template import CHATML, STARCHAT, encode
from assistant.turn import Turn, shown
from tests.scale import rounds

CONTROLS = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>")
PIECES = (
    *CONTROLS,
    "system\n",
    "```",
    "~~~~",
    "\n",
    "\r",
    "# Rules\n",
    "$question",
    "${region}",
    "## user\n",
    "model = 'x'\n",
    "[settings]\n",
    "---\n",
)
HOSTILE = st.lists(
    st.one_of(st.sampled_from(PIECES), st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=9)), max_size=30
)


@examples(
    max_examples=rounds(2000), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(HOSTILE.map("".join))
def test_whatever_it_says_it_is_one_fenced_block_of_one_turn(tmp_path: Path, text: str) -> None:
    (tmp_path / "AGENTS.md").write_text(f"x{text}", encoding="utf-8")
    before = settings.load()
    paragraph = instructions_for(tmp_path / "a.py").text
    assert settings.load() == before
    assert [block.code.rstrip("\n") for block in parse(paragraph).blocks] == [unified(f"x{text}").rstrip("\n")]
    document = Document(tmp_path / "a.py", "def f():\n    return 1\n", language=PYTHON)
    for row in (command("explain"), command("fix"), command("tests")):
        turn = Turn(row, "Q", document, language=language_named("go"), piped="d")
        bare, told = shown(turn), shown(with_instructions(turn, paragraph))
        assert [message.role for message in told.messages] == [message.role for message in bare.messages]
        assert told.messages[-1].content == paragraph + bare.messages[-1].content
        for template in (STARCHAT, CHATML):
            assert controls(template, told) == controls(template, bare)


def unified(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def with_instructions(turn: Turn, text: str) -> Turn:
    from dataclasses import replace

    return replace(turn, instructions=text)


def controls(template: object, conversation: object) -> list[int]:
    """The control tokens of a conversation, in order."""
    tokenizer = ByteTokenizer(CONTROLS)
    return [one for one in encode(template, conversation, tokenizer).ids if one > 255]  # type: ignore[arg-type]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "AGENTS.md").write_text("outside\n")
    top = tmp_path / "top"
    (top / ".git").mkdir(parents=True)
    (top / "src" / "deep").mkdir(parents=True)
    return top


def test_the_nearest_one_counts_and_none_above_the_repository(repository: Path) -> None:
    file = repository / "src" / "deep" / "a.py"
    assert instructions_for(file).text == ""
    (repository / "AGENTS.md").write_text("of the top\n")
    assert "of the top" in instructions_for(file).text
    (repository / "src" / "AGENTS.md").write_text("of src\n")
    text = instructions_for(file).text
    assert "of src" in text and "of the top" not in text and "```markdown\nof src\n```" in text


def test_a_link_that_leads_out_is_not_followed(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("hush\n")
    (repository / "AGENTS.md").symlink_to(tmp_path / "secret.txt")
    assert instructions_for(repository / "a.py").text == ""


def test_what_is_too_long_or_unusable_is_said(repository: Path) -> None:
    (repository / "AGENTS.md").write_text("a line of the rules\n" * 1000)
    found = instructions_for(repository)
    assert len(found.text) < BUDGET + 300 and found.text.count("a line of the rules\n") == BUDGET // 20
    assert found.notes == ("The last 18,000 characters of AGENTS.md are not shown to the model.",)
    (repository / "AGENTS.md").write_bytes(b"\0\1\2")
    assert instructions_for(repository).text == "" and "left out" in instructions_for(repository).notes[0]
