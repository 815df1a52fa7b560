"""The golden paths in Emacs, as keys and commands that a person types."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.editor_clients import golden_paths as golden
from tests.editor_clients.conftest import BENCH, CLIENTS, REAL_MODEL
from tests.editor_clients.emacs_at_terminal import Emacs, version_of
from tests.editor_clients.processes import server_process
from tests.editor_clients.terminal import until
from tests.real_fix import SUMS, check_fix
from tests.server.buffer import BUGGY, FIXED, REPLY, engine_is_idle

Seen = Callable[..., AbstractContextManager[None]]

INIT = f"""
(require 'package)
(setq package-archives nil)
(package-install-file "{CLIENTS / "emacs"}")
(add-hook 'python-mode-hook #'starchat-mode)
(setq starchat-settings '(:model "MODEL"))
"""
COMPILE = "(progn (setq byte-compile-error-on-warn t) (batch-byte-compile))"
CHECKDOC = """(progn
  (require 'checkdoc)
  (setq checkdoc-verb-check-experimental-flag nil checkdoc-arguments-in-order-flag nil)
  (mapc #'checkdoc-file (directory-files "." t "\\\\.el$")))"""
NUMBERS = " ".join(map(str, range(500)))


@pytest.fixture
def emacs(installed: Callable[..., Path], home: Path, environment: dict[str, str]) -> Iterator[Callable[..., Emacs]]:
    """`emacs(model, text=…)`: Emacs with the client, installed as a package, and a file open."""
    started: list[Emacs] = []

    def start(model: str, text: str = BUGGY) -> Emacs:
        path = home / "work" / "numbers.py"
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        started.append(Emacs(installed("emacs"), home, environment, INIT.replace("MODEL", model), str(path)))
        started[0].until("(and (eq major-mode 'python-mode) starchat-mode t)")
        return started[0]

    yield start
    for each in started:
        each.close()


def holds(editor: Emacs, text: str) -> None:
    """Wait until the file's buffer is exactly this."""
    quoted = json.dumps(text, ensure_ascii=False)
    editor.until(
        f'(with-current-buffer "numbers.py" (equal (buffer-substring-no-properties (point-min) (point-max)) {quoted}))'
    )


def somewhere(editor: Emacs, text: str) -> str:
    """The text of the buffer of ours that holds `text`, once there is one."""
    quoted = json.dumps(text, ensure_ascii=False)
    return editor.until(f"""
        (seq-some (lambda (b) (with-current-buffer b
                    (let ((all (buffer-substring-no-properties (point-min) (point-max))))
                      (and (string-prefix-p "*starchat" (buffer-name)) (string-search {quoted} all) all))))
                  (buffer-list))""")


def select(editor: Emacs, first: int, last: int) -> None:
    """Mark lines, as a person does."""
    editor.press("M-g", "g")
    editor.terminal.type(str(first))
    editor.press("Enter", "C-a", "C-Space", "M-g", "g")
    editor.terminal.type(str(last))
    editor.press("Enter", "C-e")
    editor.until(f"(and (use-region-p) (= {first} (line-number-at-pos (region-beginning))))")


def test_a_bug_is_fixed_from_its_diagnostic(emacs: Callable[..., Emacs], scripted: Callable[..., str], seen: Seen) -> None:
    editor = emacs(scripted({"match": "RecursionError in gcd", "reply": REPLY}, {"reply": "no"}))
    with seen(golden.FIX, "Emacs", editor.version):
        editor.lisp("""(progn
            (add-hook 'flymake-diagnostic-functions
              (lambda (report &rest _) (save-excursion
                (goto-char (point-min)) (search-forward "return gcd")
                (funcall report (list (flymake-make-diagnostic (current-buffer) (match-beginning 0) (point)
                                       :error "RecursionError in gcd"))))) nil t)
            (flymake-mode 1) (flymake-start) t)""")
        editor.until("(and (flymake-diagnostics) t)")
        editor.press("M-g", "g", "7", "Enter", "C-e", "M-b", "M-b", "M-b", "M-b", "C-c", "*", "f")
        holds(editor, FIXED)
        editor.press("C-/")
        holds(editor, BUGGY)


def test_code_is_explained_in_a_buffer_that_grows(
    emacs: Callable[..., Emacs], scripted: Callable[..., str], seen: Seen
) -> None:
    editor = emacs(scripted({"match": "Explain the code", "reply": f"**Euclid** {NUMBERS}", "delay_ms": 4}, {"reply": "no"}))
    with seen(golden.EXPLAIN, "Emacs", editor.version):
        select(editor, 4, 7)
        editor.press("C-c", "*", "x")
        assert "499" not in somewhere(editor, "**Euclid** 0 1 2")
        assert somewhere(editor, "498 499") == f"**Euclid** {NUMBERS}"
        assert editor.text() == BUGGY  # the file is still selected
        assert editor.lisp("(length (window-list))") == 2


def test_code_is_translated_to_a_new_file(
    emacs: Callable[..., Emacs], scripted: Callable[..., str], seen: Seen, home: Path
) -> None:
    go = "package numbers\n\nfunc Gcd(a, b int) int {\n\tif b == 0 {\n\t\treturn a\n\t}\n\treturn Gcd(b, a%b)\n}\n"
    editor = emacs(scripted({"match": "Go", "reply": f"```go\n{go}```\n"}, {"reply": "no"}))
    with seen(golden.TRANSLATE, "Emacs", editor.version):
        editor.press("C-x", "h", "C-c", "*", "l")
        editor.terminal.shows("Translate to:")
        editor.terminal.type("Go")
        editor.press("Enter")
        made = editor.until("""
            (seq-some (lambda (b) (with-current-buffer b
                        (and buffer-file-name (string-suffix-p ".go" buffer-file-name)
                             (string-search "Gcd" (buffer-string)) buffer-file-name)))
                      (buffer-list))""")
        assert Path(made).parent.samefile(home / "work")
        holds(editor, BUGGY)


def test_an_instruction_edits_and_one_undo_restores_the_bytes(
    emacs: Callable[..., Emacs], scripted: Callable[..., str], seen: Seen, home: Path
) -> None:
    renamed = "def gcd(x, y):\n    if y == 0:\n        return x\n    return gcd(y, x % y)\n"
    editor = emacs(scripted({"match": "Instruction: call them x and y", "reply": f"{renamed}```\n"}, {"reply": "no"}))
    with seen(golden.EDIT_AND_UNDO, "Emacs", editor.version):
        select(editor, 4, 7)
        editor.press("C-c", "*", "e")
        editor.terminal.shows("Change:")
        editor.terminal.type("call them x and y")
        editor.press("Enter")
        holds(editor, BUGGY.split("def gcd")[0] + renamed)
        editor.press("C-/")
        holds(editor, BUGGY)
        editor.press("C-x", "C-s")
        editor.until('(with-current-buffer "numbers.py" (not (buffer-modified-p)))')
        assert (home / "work" / "numbers.py").read_bytes() == BUGGY.encode()


def test_chat_of_two_turns_with_a_selection(emacs: Callable[..., Emacs], scripted: Callable[..., str], seen: Seen) -> None:
    first = {"match": "unseen", "reply": "too much"}, {"match": r"It is Euclid's[\s\S]*And the step", "reply": "The *step*."}
    editor = emacs(scripted(*first, {"match": "return gcd", "reply": "It is Euclid's."}), text=f"unseen = 1\n{BUGGY}")
    with seen(golden.CHAT, "Emacs", editor.version):
        select(editor, 5, 8)
        editor.press("C-c", "*", "c")
        somewhere(editor, "## You (numbers.py:5-8)")
        editor.terminal.type("What is it?")
        editor.press("C-c", "C-c")
        somewhere(editor, "It is Euclid's.\n\n## You")
        editor.terminal.type("And the step?")
        editor.press("C-c", "C-c")
        whole = somewhere(editor, "The *step*.\n\n## You")
        editor.terminal.picture(BENCH / "emacs.svg", "Emacs")
        editor.lisp("(kill-buffer)")
        editor.command("starchat-chat-resume")
        editor.terminal.shows("Chat:")
        editor.terminal.type("What is it?")
        editor.press("Tab", "Enter")
        again = somewhere(editor, "The *step*.\n\n## You")
        assert again.replace("## You", "").split() == whole.replace("## You (numbers.py:5-8)", "").replace("## You", "").split()
        assert whole.count("## You") == 3
        assert whole.startswith("## You (numbers.py:5-8)\n\nWhat is it?\n\n## StarChat\n\nIt is")


def test_work_is_stopped(emacs: Callable[..., Emacs], scripted: Callable[..., str], seen: Seen, home: Path) -> None:
    editor = emacs(scripted({"reply": NUMBERS * 5, "delay_ms": 20}))
    with seen(golden.CANCEL, "Emacs", editor.version):
        select(editor, 4, 7)
        editor.press("C-c", "*", "x")
        somewhere(editor, "0 1 2")
        editor.press("C-c", "*", "k")
        until(lambda: engine_is_idle(home))
        editor.press("C-c", "*", "c")
        editor.until("(eq major-mode 'starchat-chat-mode)")
        editor.terminal.type("Go on")
        editor.press("C-c", "C-c")
        somewhere(editor, "## StarChat\n\n0 1 2")
        editor.press("C-c", "C-k")
        somewhere(editor, "*Stopped.*\n\n## You")
        until(lambda: engine_is_idle(home))
        assert editor.lisp("(starchat-lighter)") == " StarChat"


def test_typing_goes_on_while_the_model_writes(emacs: Callable[..., Emacs], scripted: Callable[..., str], seen: Seen) -> None:
    editor = emacs(scripted({"reply": REPLY, "prefill_ms": 8000}))
    with seen(golden.TYPING, "Emacs", editor.version):
        select(editor, 4, 7)
        editor.press("C-c", "*", "f")
        editor.terminal.shows("Fix a bug: ")
        editor.press("M-<")
        editor.terminal.type("# typed meanwhile")
        editor.press("C-j")
        holds(editor, "# typed meanwhile\n" + BUGGY)
        holds(editor, "# typed meanwhile\n" + FIXED)
        editor.terminal.type("# after")
        holds(editor, '# typed meanwhile\n# after"""Zählen' + FIXED.split('"""Zählen')[1])


def test_a_killed_server_comes_back(emacs: Callable[..., Emacs], scripted: Callable[..., str], seen: Seen, home: Path) -> None:
    editor = emacs(scripted({"match": "Explain", "reply": "Euclid's."}, {"reply": REPLY}))
    with seen(golden.RESTART, "Emacs", editor.version):
        select(editor, 4, 7)
        editor.press("C-c", "*", "x")
        somewhere(editor, "Euclid's.")
        os.kill(until(lambda: server_process(home)), signal.SIGKILL)
        editor.until("(null starchat--connection)")
        select(editor, 4, 7)
        editor.press("C-c", "*", "f")
        holds(editor, FIXED)


def test_a_model_that_is_still_loading_is_waited_for(
    emacs: Callable[..., Emacs], scripted: Callable[..., str], seen: Seen
) -> None:
    editor = emacs(scripted({"reply": REPLY}, load_ms=12000))
    with seen(golden.LOADING, "Emacs", editor.version):
        select(editor, 4, 7)
        editor.press("C-c", "*", "f")
        editor.terminal.shows("loading the model")
        editor.until('(and (string-match "[0-9]%" (starchat-lighter)) t)')
        editor.press("C-n")  # nothing is blocked
        holds(editor, FIXED)


def test_ghost_text_is_shown_and_accepted(emacs: Callable[..., Emacs], scripted: Callable[..., str], seen: Seen) -> None:
    editor = emacs(scripted({"match": "fim_middle", "reply": " gcd(a, b)"}, {"reply": "no"}))
    with seen(golden.GHOST, "Emacs", editor.version):
        editor.command("starchat-ghost-mode")
        editor.until('(equal (plist-get starchat--model :state) "ready")')
        editor.press("M->")
        editor.terminal.type("value =")
        editor.until('(equal (starchat-ghost-text) " gcd(a, b)")')
        editor.terminal.shows("value = gcd(a, b)")
        assert editor.text() == BUGGY + "value ="
        editor.press("C-g")
        editor.until("(null (starchat-ghost-text))")
        editor.press("BSpace", "=")
        editor.until("(and (starchat-ghost-text) t)")
        editor.press("M-Right")
        holds(editor, BUGGY + "value = gcd(a,")
        editor.press("C-/", "BSpace", "=")
        editor.until("(and (starchat-ghost-text) t)")
        editor.terminal.picture(BENCH / "emacs-ghost.svg", "Emacs")
        editor.press("Tab")
        holds(editor, BUGGY + "value = gcd(a, b)")
        assert editor.lisp("(null starchat-ghost-shown-mode)")


def test_an_edit_is_looked_at_before_it_is_made(emacs: Callable[..., Emacs], scripted: Callable[..., str]) -> None:
    editor = emacs(scripted({"reply": REPLY}))
    editor.lisp("(setq starchat-confirm-edits t)")
    editor.press("M-g", "g", "7", "Enter")
    for answer in ("n", "y"):
        editor.press("C-c", "*", "f")
        editor.terminal.shows("make this change?")
        editor.terminal.shows("+    return gcd(b, a % b)")
        editor.terminal.picture(BENCH / "emacs-confirm.svg", "Emacs")
        editor.press(answer)
        editor.terminal.shows("You left the text as it was" if answer == "n" else "Applied")
        holds(editor, BUGGY if answer == "n" else FIXED)


def test_it_says_where_text_goes(emacs: Callable[..., Emacs], scripted: Callable[..., str]) -> None:
    editor = emacs(scripted({"reply": "no"}))
    editor.lisp('(starchat--told (quote starchat/status) (list :state "ready" :model "m" :remote "api.example.com"))')
    editor.terminal.shows("StarChat[to api.example.com]")
    editor.lisp('(starchat--told (quote starchat/status) (list :state "loading" :model "m" :progress 0.4))')
    editor.terminal.shows("StarChat[loading 40%]")


def test_a_real_model_fixes_a_bug(emacs: Callable[..., Emacs], real_model: str, seen: Seen) -> None:
    editor = emacs(real_model, text=SUMS)
    with seen(golden.FIX, "Emacs", editor.version, REAL_MODEL):
        editor.press("M-g", "g", "8", "Enter")
        editor.lisp('(progn (setq outcome nil) (starchat-run "fix" nil (lambda (o) (setq outcome (plist-get o :outcome)))) t)')
        outcome = editor.until("outcome", 240)
        check_fix(outcome, editor.text())


def test_it_compiles_without_a_warning_and_is_documented(installed: Callable[..., Path], home: Path, seen: Seen) -> None:
    with seen(golden.INSTALL, "Emacs", version_of(installed("emacs"))):
        folder = shutil.copytree(CLIENTS / "emacs", home / "client")
        for form, files in (COMPILE, folder.glob("*.el")), (CHECKDOC, ()):
            command = [installed("emacs"), "-Q", "--batch", "-L", folder, "--eval", form, *sorted(files)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder)
            assert (done.returncode, "Warning" in done.stderr) == (0, False), done.stderr
