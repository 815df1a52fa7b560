"""Places in Emacs are those of the server, whatever a text holds; edits are one step of undo, also in a narrowed buffer."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

from assistant.lines import line_starts, split_lines
from server.positions import position_of
from tests.editor_clients.conftest import CLIENTS

PLACES = """
(require 'json)
(prin1 (json-encode (vconcat (mapcar (lambda (each)
  (with-temp-buffer
    (insert (aref each 0))
    (let ((there (starchat-position (1+ (aref each 1)))))
      (list (plist-get there :line) (plist-get there :character) (1- (starchat-point there))))))
  (with-temp-buffer (insert-file-contents "FILE") (json-parse-buffer))))))
"""

NARROWED = """
(with-temp-buffer
  (insert "one\\ntwo\\nthree\\n")
  (buffer-enable-undo)
  (narrow-to-region 1 4)
  (starchat-apply-edits [(:range (:start (:line 0 :character 0) :end (:line 0 :character 3)) :newText "1")
                         (:range (:start (:line 2 :character 0) :end (:line 2 :character 5)) :newText "3")])
  (widen)
  (prin1 (buffer-string))
  (undo-more 0)
  (setq last-command nil)
  (undo)
  (prin1 (buffer-string)))
"""


def batch(emacs: Path, form: str) -> str:
    command = [emacs, "-Q", "--batch", "-L", CLIENTS / "emacs", "-l", "starchat-edits", "--eval", f"(progn {form})"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={"LANG": "C.UTF-8"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_places_are_those_of_the_server(installed: Callable[..., Path], home: Path) -> None:
    chance = random.Random(5)
    cases = [place(chance) for _ in range(300)]
    (home / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    counted = json.loads(json.loads(batch(installed("emacs"), PLACES.replace("FILE", str(home / "cases.json")))))
    for (text, offset), (line, character, back) in zip(cases, counted, strict=True):
        lines = split_lines(text)
        assert (line, character) == position_of(lines, line_starts(lines), offset, "utf-32"), (text, offset)
        assert back == offset


def place(chance: random.Random) -> tuple[str, int]:
    """A text with every kind of line end, and an offset in it that is not inside CR LF."""
    letters = ["a", "é", "𝒳", "\t", "\n", "\r", "\r\n", "\f", "\u2028", "\x85"]
    text = "".join(chance.choices(letters, k=chance.randrange(1, 30)))
    return text, chance.choice([each for each in range(len(text)) if text[each - 1 : each + 1] != "\r\n"])


def test_a_narrowed_buffer_is_edited_and_restored(installed: Callable[..., Path]) -> None:
    assert batch(installed("emacs"), NARROWED) == '"1\ntwo\n3\n""one\ntwo\nthree\n"'
