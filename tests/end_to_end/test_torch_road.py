"""From `assistant ask` to the streamed answer of a real GPTBigCode model that speaks StarChat's template.

The model is tiny and has learned three answers by heart, so that every step must be right for one of them to come back whole:
the prompt, the template, the control tokens, the weights in each format, the stream, the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosting.scripted_host import home
from tests.tiny_models import DIALOGUES, tiny_starchat

ASSISTANT = str(Path(sys.executable).with_name("assistant"))


@pytest.fixture(scope="module")
def own_home() -> Iterator[Path]:
    with home() as folder:
        yield folder


@pytest.mark.parametrize(
    "options",
    [("--dtype", "float32"), ("--dtype", "bfloat16"), ("--quantization", "bnb-8bit")],
    ids=["fp32", "bf16", "bnb-8bit"],
)
def test_the_learned_answer_streams_and_stops_by_itself(own_home: Path, options: tuple[str, ...]) -> None:
    model = ("-m", str(tiny_starchat()), "--device", "cpu", *options)
    for number, (question, answer) in enumerate(DIALOGUES):
        done = _ask(own_home, question, *model, *(() if number else ("--json",)))
        assert done.returncode == 0, done.stderr
        if number:
            assert done.stdout == f"{answer}\n"
            continue
        shown = json.loads(done.stdout)
        assert shown["text"].strip() == answer
        assert shown["finish_reason"] == "stop"
        assert shown["usage"]["completion_tokens"] > 0
    _stop(own_home)


def test_a_second_question_computes_only_what_is_new(own_home: Path) -> None:
    model = ("-m", str(tiny_starchat()), "--device", "cpu", "--json")
    first, second = (json.loads(_ask(own_home, DIALOGUES[n][0], *model).stdout)["usage"] for n in (0, 1))
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert second["prompt_tokens_details"]["cached_tokens"] > second["prompt_tokens"] // 2
    _stop(own_home)


def _ask(own_home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ASSISTANT, "ask", *arguments],
        env={**os.environ, "STARCHAT_HOME": str(own_home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
    )


def _stop(own_home: Path) -> None:
    subprocess.run([ASSISTANT, "stop", "--all"], env={**os.environ, "STARCHAT_HOME": str(own_home)}, check=True, timeout=30)
