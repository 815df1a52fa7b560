"""The card's own road, from a shell and from an editor, to a real GPTBigCode model that speaks StarChat's template, and back.

The model is tiny and has learned three answers and a fix by heart, so that every step must be right for one of them to come
back whole: the prompt, the template, the control tokens, the weights in each format, the stream, the end, and of the fix the
edit and its undo.  One host serves the shell and the editor, as it does for a user.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assistant import address
from assistant.commands import command
from assistant.document import Document
from assistant.languages import PYTHON
from assistant.prefixes import forget
from assistant.turn import Turn, shown
from tests.hosting.scripted_host import home
from tests.server.buffer import CLIENTS, Buffer, begin, run
from tests.server.editor_at_pipes import Editor
from tests.tiny_models import DIALOGUES, make_tiny_starchat

ASSISTANT = str(Path(sys.executable).with_name("assistant"))
WRONG = "def minus(left, right):\n    return left + right\n"
RIGHT = WRONG.replace("+", "-")
PATH = Path("/project") / "minus.py"
WHERE = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 23}}

ROADS = {
    "default": ("vscode", {}),
    "fp32": ("neovim", {"dtype": "float32"}),
    "bf16": ("vscode", {"dtype": "bfloat16"}),
    "bnb-8bit": ("neovim", {"quantization": "bnb-8bit"}),
}
"""Precisions: the editor that comes to each, and what is asked for."""


@dataclass(frozen=True, slots=True)
class Road:
    """A model in one precision, and the environment in which it is asked for."""

    model: Path
    client: str
    options: dict[str, str]
    environment: dict[str, str]

    def ask(self, question: str, *more: str) -> str:
        flags = [word for name, value in self.options.items() for word in (f"--{name}", value)]
        return self.assistant("ask", question, "-m", str(self.model), "--device", "cpu", *flags, *more)

    def assistant(self, *arguments: str) -> str:
        done = subprocess.run(
            [ASSISTANT, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def editor(self, folder: Path) -> Iterator[Editor]:
        settings: dict[str, Any] = {"model": str(self.model), "device": "cpu", "threads": 1, **self.options}
        dtype = {"STARCHAT_DTYPE": settings.pop("dtype")} if "dtype" in settings else {}  # editors have no setting for it
        editor = Editor({**self.environment, **dtype}, folder)
        try:
            begin(editor, CLIENTS[self.client][0], "", settings)
            yield editor
        finally:
            editor.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    turn = Turn(command("fix"), document=Document(PATH, WRONG, language=PYTHON), lines=(1, 2))
    lesson = shown(turn).then("assistant", f"```python\n{RIGHT}```")
    return make_tiny_starchat(tmp_path_factory.mktemp("road") / "tiny", steps=60, more=[lesson])


@pytest.fixture(scope="module")
def own_home() -> Iterator[Path]:
    with home() as folder:
        yield folder


@pytest.fixture(scope="module", params=ROADS)
def road(own_home: Path, model: Path, request: pytest.FixtureRequest) -> Iterator[Road]:
    """A precision, whose one host serves the shell and the editor and is stopped before the next."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STARCHAT_")}
    own = {"STARCHAT_HOME": str(own_home), "STARCHAT_IDLE_MINUTES": "2", "STARCHAT_THREADS": "1"}
    road = Road(model, *ROADS[request.param], {**kept, **own})
    forget()  # another precision may have computed in the same format
    yield road
    assert len(address.known_keys()) <= 1, "the shell and the editor have started a host each"
    road.assistant("stop", "--all")


def test_the_learned_answers_stream_and_stop_by_themselves(road: Road) -> None:
    """The second question is computed from where it differs from the first."""
    *in_json, (plain, last) = DIALOGUES
    usages = []
    for question, answer in in_json:
        heard = json.loads(road.ask(question, "--json"))
        assert heard["text"].strip() == answer
        assert heard["finish_reason"] == "stop"
        usages.append(heard["usage"])
    assert road.ask(plain) == f"{last}\n"
    first, second = usages
    assert first["completion_tokens"] > 0
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert second["prompt_tokens_details"]["cached_tokens"] > second["prompt_tokens"] // 2


def test_a_bug_is_fixed_in_an_editor(road: Road, tmp_path: Path) -> None:
    with road.editor(tmp_path) as editor:
        buffer = Buffer(editor, PATH, WRONG, CLIENTS[road.client][1])
        result = run(editor, "fix", {"uri": buffer.uri, "range": WHERE})
        assert result["outcome"] == "applied", result
        assert buffer.text == RIGHT
        assert run(editor, "undo")["outcome"] == "applied"
        assert buffer.text == WRONG
