"""The card's own road in an editor: LSP, model host, torch engine, StarChat's template, a code edit and its undo.

The model is a tiny GPTBigCode that has learned one fix by heart: every token of the prompt must be right for it to come back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant.commands import command
from assistant.document import Document
from assistant.languages import PYTHON
from assistant.turn import Turn, shown
from tests.hosting.scripted_host import home
from tests.server.buffer import CLIENTS, Buffer, begin, end_hosts, run
from tests.server.editor_at_pipes import Editor
from tests.tiny_models import make_tiny_starchat

WRONG = "def minus(left, right):\n    return left + right\n"
RIGHT = WRONG.replace("+", "-")
PATH = Path("/project") / "minus.py"
WHERE = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 23}}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    turn = Turn(command("fix"), document=Document(PATH, WRONG, language=PYTHON), lines=(1, 2))
    lesson = shown(turn).then("assistant", f"```python\n{RIGHT}```")
    return make_tiny_starchat(tmp_path_factory.mktemp("road") / "tiny", (), 60, [lesson])


@pytest.fixture
def editor(tmp_path: Path) -> Iterator[Editor]:
    with home() as folder:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("STARCHAT_")}
        editor = Editor({**kept, "STARCHAT_HOME": str(folder), "STARCHAT_IDLE_MINUTES": "2"}, tmp_path)
        yield editor
        editor.close()
        end_hosts(folder)


@pytest.mark.parametrize(
    ("name", "options"), [("vscode", {}), ("neovim", {"quantization": "bnb-8bit"})], ids=["bf16", "bnb-8bit"]
)
def test_a_bug_is_fixed_by_the_torch_engine(editor: Editor, model: Path, name: str, options: dict[str, Any]) -> None:
    capabilities, encoding = CLIENTS[name]
    settings = {"starchat": {"model": str(model), "device": "cpu", "threads": 1, **options}}
    begin(editor, capabilities, "", settings["starchat"])
    buffer = Buffer(editor, PATH, WRONG, encoding)
    result = run(editor, "fix", {"uri": buffer.uri, "range": WHERE})
    assert result["outcome"] == "applied", result
    assert buffer.text == RIGHT
    assert run(editor, "undo")["outcome"] == "applied"
    assert buffer.text == WRONG
