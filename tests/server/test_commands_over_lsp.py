"""A client's own road: a code action, its command, progress, one edit, and one step back; for three kinds of client."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from server.jobs import LAST_SECONDS
from tests.server.buffer import (
    BUGGY,
    CLIENTS,
    FIXED,
    PROBLEM,
    REPLY,
    WHERE,
    Buffer,
    begin,
    code_actions,
    command,
    ended,
    engine_is_idle,
    run,
)
from tests.server.conftest import one_for_many
from tests.server.editor_at_pipes import EGLOT, NEOVIM, VSCODE, Editor


@pytest.mark.parametrize("name", CLIENTS)
def test_a_stock_client_fixes_a_bug_and_takes_it_back(
    editor: Editor, script: Callable[..., str], tmp_path: Path, name: str
) -> None:
    capabilities, encoding = CLIENTS[name]
    begin(editor, capabilities, script({"match": "RecursionError", "reply": REPLY}, {"reply": "no"}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, encoding)
    action = next(
        each for each in code_actions(editor, buffer.uri, diagnostics=[PROBLEM]) if each["kind"] == "quickfix.starchat"
    )
    assert action["title"] == "StarChat: Fix a bug"
    assert ("tags" in action) == (name == "vscode")
    asked = {"command": action["command"]["command"], "arguments": action["command"]["arguments"]}
    outcome = ended(editor, editor.request("workspace/executeCommand", asked)["result"])
    assert outcome["reason"] == "Applied."
    assert buffer.text == FIXED
    assert len(buffer.edits) == 1
    assert ("changeAnnotations" in buffer.edits[0]["edit"]) == (name == "vscode")
    assert ("documentChanges" in buffer.edits[0]["edit"]) == (name != "neovim")
    assert run(editor, "undo")["outcome"] == "applied"
    assert buffer.text == BUGGY
    assert run(editor, "undo")["outcome"] == "no_edit"


def test_progress_begins_at_once_and_ends(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, VSCODE, script({"reply": REPLY, "delay_ms": 2}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    editor.wait_for(lambda each: each.get("method") == "starchat/status" and each["params"]["state"] == "ready")
    began = time.monotonic()
    number = editor.begin(
        "workspace/executeCommand",
        {"command": "starchat.fix", "arguments": [{"uri": buffer.uri, "range": WHERE}], "workDoneToken": "mine"},
    )
    first = editor.wait_for(lambda each: each.get("method") == "$/progress")
    assert time.monotonic() - began < 1.0
    assert first["params"]["value"]["kind"] == "begin"
    assert editor.reply(number)["result"]["outcome"] == "applied"
    kinds = [each["params"]["value"]["kind"] for each in editor.messages("$/progress") if each["params"]["token"] == "mine"]
    assert kinds[0] == "begin" and kinds[-1] == "end" and kinds.count("begin") == kinds.count("end") == 1


@pytest.mark.parametrize("how", ["request", "progress", "command"])
def test_work_can_be_stopped(editor: Editor, script: Callable[..., str], tmp_path: Path, how: str) -> None:
    begin(editor, VSCODE, script({"reply": "x" * 5000, "delay_ms": 20}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    params = {"command": "starchat.fix", "arguments": [{"uri": buffer.uri, "range": WHERE}], "workDoneToken": 77}
    number = editor.begin("workspace/executeCommand", params)
    editor.wait_for(lambda each: "writing" in str(each.get("params", {}).get("value", "")))
    began = time.monotonic()
    if how == "request":
        editor.notify("$/cancelRequest", {"id": number})
    elif how == "progress":
        editor.notify("window/workDoneProgress/cancel", {"token": 77})
    else:
        assert run(editor, "cancel")["cancelled"]
    reply = editor.reply(number, 5)
    assert time.monotonic() - began < 1.0
    assert reply.get("error", {}).get("code") == -32800 or reply["result"]["outcome"] == "cancelled"
    editor.wait_for(lambda each: each.get("params", {}).get("value", {}).get("kind") == "end", 5)
    assert editor.request("starchat/status")["result"]["active"] == 0
    assert not buffer.edits
    while not engine_is_idle(tmp_path / "home"):
        assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("capabilities", [EGLOT, EGLOT | {"window": {"workDoneProgress": True}}], ids=["Emacs 28", "Emacs 29"])
def test_a_client_that_gives_no_token_gets_its_reply_within_a_second(
    editor: Editor, script: Callable[..., str], tmp_path: Path, capabilities: dict[str, Any]
) -> None:
    """Eglot waits for it with all of Emacs, for ten seconds at most, whether it shows progress or not."""
    begin(editor, capabilities, script({"reply": REPLY, "prefill_ms": 1200}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    editor.wait_for(lambda each: each.get("method") == "starchat/status" and each["params"]["state"] == "ready")
    began = time.monotonic()
    params = command("fix", {"uri": buffer.uri, "range": WHERE}, workDoneToken=None)
    result = editor.request("workspace/executeCommand", params)["result"]
    assert time.monotonic() - began < 1.5
    assert result == {"job": result["job"], "running": True}
    assert ended(editor, result)["reason"] == "Applied."
    assert buffer.text == FIXED
    assert len(editor.messages("window/showMessage")) == (capabilities is EGLOT)


def test_what_was_typed_meanwhile_is_kept(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, VSCODE, script({"reply": REPLY, "prefill_ms": 700}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    number = editor.begin("workspace/executeCommand", command("fix", {"uri": buffer.uri, "range": WHERE}))
    editor.wait_for(lambda each: "reading" in str(each.get("params", {}).get("value", "")))
    buffer.type("import math\n" + buffer.text)
    assert editor.reply(number)["result"]["outcome"] == "applied"
    assert buffer.text == "import math\n" + FIXED


def test_an_edit_over_what_was_typed_is_refused_and_kept(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, VSCODE, script({"reply": REPLY, "prefill_ms": 700}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    number = editor.begin("workspace/executeCommand", command("fix", {"uri": buffer.uri, "range": WHERE}))
    editor.wait_for(lambda each: "reading" in str(each.get("params", {}).get("value", "")))
    buffer.type(buffer.text.replace("return a\n", "return abs(a)\n"))
    result = editor.reply(number)["result"]
    assert result["outcome"] == "conflict"
    assert "gcd(b, a % b)" in result["text"]
    assert editor.request("workspace/textDocumentContent", {"uri": result["answer"]})["result"]["text"] == result["text"]
    assert not buffer.edits


def test_a_race_on_the_wire_is_carried_over(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, VSCODE, script({"reply": REPLY}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    calm = buffer.apply

    def racing(params: dict[str, Any]) -> dict[str, Any]:
        editor.answers["workspace/applyEdit"] = calm
        buffer.type("# typed\n" + buffer.text)
        return calm(params)

    editor.answers["workspace/applyEdit"] = racing
    assert run(editor, "fix", {"uri": buffer.uri, "range": WHERE})["outcome"] == "applied"
    assert buffer.text == "# typed\n" + FIXED


ANSWERS = {
    "prose": ("I would rather not.", False),
    "nothing": ("", False),
    "same": (BUGGY.split("\n\n\n")[1] + "```\n", False),
    "half a fence": (REPLY.removesuffix("```\n"), True),
    "elision": ("def gcd(a, b):\n    # ... existing code ...\n    return gcd(b, a % b)\n```\n", False),
    "broken": ("def gcd(a, b):\n    if b == 0:\n        return (a\n```\n", False),
    "Go": ("func gcd(a, b int) int {\n\treturn gcd(b, a%b)\n}\n```\n", False),
    "thought": ("Think.</think>" + REPLY, None),
    "control word": ("<|end|>" + REPLY, None),
    "two fences": (REPLY + "\nor\n```python\ndef gcd(a, b):\n    return b\n```\n", None),
    "other": ("def other():\n    pass\n```\n", False),
}
"""What a model may say, and whether that becomes an edit; None where either is right."""


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """The name of the file in question chooses the answer."""
    rules = [{"match": f"`{name}\\.py`", "reply": reply} for name, (reply, _) in ANSWERS.items()]
    with one_for_many(tmp_path_factory.mktemp("answers"), NEOVIM, *rules, {"reply": "unasked"}) as editor:
        yield editor


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_becomes_the_right_edit_or_none_and_is_kept(answering: Editor, tmp_path: Path, name: str) -> None:
    reply, edits = ANSWERS[name]
    buffer = Buffer(answering, tmp_path / f"{name}.py", BUGGY, "utf-8")
    result = run(answering, "fix", {"uri": buffer.uri, "range": WHERE})
    assert result["outcome"] in (("no_edit", "applied") if edits is None else ("applied",) if edits else ("no_edit",)), result
    assert buffer.text == (FIXED if result["outcome"] == "applied" else BUGGY)
    assert result["reason"]
    if result["outcome"] == "no_edit" and reply:
        assert Path(result["answer"].removeprefix("file://")).read_text() == result["text"]
        assert result["text"].strip() and "unasked" not in result["text"]


@pytest.fixture(scope="module")
def willing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """A model that repairs whatever it is shown."""
    with one_for_many(tmp_path_factory.mktemp("willing"), VSCODE, {"reply": REPLY}) as editor:
        yield editor


@pytest.mark.parametrize("answer", [{"applied": False, "failureReason": "read-only"}, ValueError("broken client"), {}, None])
def test_an_editor_that_refuses_is_no_trouble(willing: Editor, tmp_path: Path, answer: Any) -> None:
    buffer = Buffer(willing, tmp_path / "numbers.py", BUGGY, "utf-16")
    willing.answers["workspace/applyEdit"] = lambda params: answer
    result = run(willing, "fix", {"uri": buffer.uri, "range": WHERE})
    assert result["outcome"] == "no_edit", result
    assert "gcd(b, a % b)" in result["text"]
    assert willing.request("starchat/status")["result"]["active"] == 0


def test_a_client_that_makes_stale_edits_is_detected(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, NEOVIM, script({"reply": REPLY}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-8")

    def careless(params: dict[str, Any]) -> dict[str, Any]:
        buffer.text = "def gcd(): ...\n" * 9
        return buffer.apply({"edit": {"changes": {buffer.uri: []}}})

    editor.answers["workspace/applyEdit"] = careless
    assert "not what was expected" in run(editor, "fix", {"uri": buffer.uri, "range": WHERE})["reason"]


def test_a_question_in_a_comment_is_answered_in_a_document(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, VSCODE, script({"match": "why recursion", "reply": "Because of **Euclid**."}, {"reply": "no"}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY.replace("    if b", "    # ai: why recursion?\n    if b"), "utf-16")
    action = next(each for each in code_actions(editor, buffer.uri) if each["kind"].startswith("source.starchat"))
    asked = command(action["command"]["command"].removeprefix("starchat."), action["command"]["arguments"][0])
    result = editor.request("workspace/executeCommand", asked)["result"]
    assert result["text"] == "Because of **Euclid**."
    shown = editor.wait_for(lambda each: each.get("method") == "window/showDocument")
    assert shown["params"]["uri"] == result["answer"]
    assert editor.request("workspace/textDocumentContent", {"uri": result["answer"]})["result"]["text"] == result["text"]


def test_an_answer_is_a_private_file_without_virtual_documents(
    editor: Editor, script: Callable[..., str], tmp_path: Path
) -> None:
    begin(editor, NEOVIM, script({"reply": "An answer."}))
    result = run(editor, "ask", {"question": "What?"})
    path = Path(result["answer"].removeprefix("file://"))
    assert path.read_text() == "An answer."
    assert path.stat().st_mode & 0o077 == 0
    assert path.is_relative_to(tmp_path / "home")


def test_a_client_that_shows_no_documents_is_told_where_the_answer_is(editor: Editor, script: Callable[..., str]) -> None:
    begin(editor, EGLOT, script({"reply": "An answer."}))
    editor.begin("workspace/executeCommand", {"command": "starchat.ask", "arguments": [{"question": "What?"}]})
    message = editor.wait_for(lambda each: each.get("method") == "window/showMessage")["params"]["message"]
    assert Path(message.removeprefix("The answer is in ")).read_text() == "An answer."


def test_actions_honour_what_the_client_asks_for(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, VSCODE, script({"reply": "x"}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")

    def kinds(**context: Any) -> list[str]:
        return [each["kind"] for each in code_actions(editor, buffer.uri, **context)]

    assert kinds(triggerKind=2) == []
    assert kinds(triggerKind=2, diagnostics=[PROBLEM]) == ["quickfix.starchat"]
    assert kinds(only=["quickfix"], diagnostics=[PROBLEM]) == ["quickfix.starchat"]
    assert "refactor.rewrite.starchat.fix" in kinds(only=["refactor"])
    assert kinds(only=["source.organizeImports"]) == []
    params = {"textDocument": {"uri": "file:///not/open.py"}, "range": WHERE, "context": {"diagnostics": []}}
    assert editor.request("textDocument/codeAction", params)["result"] == []
    editor.change(buffer.uri, 1, {"text": "stale"})
    actions = code_actions(editor, buffer.uri)
    assert actions and all("out of order" in each["disabled"]["reason"] and "command" not in each for each in actions)


def test_code_actions_are_quick_in_a_large_file(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, VSCODE, script({"reply": "x"}))
    buffer = Buffer(editor, tmp_path / "numbers.py", "value = compute(1)\n" * 10_000, "utf-16")
    code_actions(editor, buffer.uri)
    took = []
    for _ in range(30):
        began = time.monotonic()
        code_actions(editor, buffer.uri, diagnostics=[PROBLEM])
        took.append(time.monotonic() - began)
    assert sorted(took)[15] < 0.05


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "file:///tmp/../etc/passwd",
        "file:///%2e%2e/etc/passwd",
        "file://host/share/x.py",
        "untitled:x",
        "http://x/y",
    ],
)
def test_files_outside_the_workspace_are_not_touched(willing: Editor, uri: str) -> None:
    willing.heard.clear()
    result = run(willing, "fix", {"uri": uri})
    assert result["outcome"] == "failed"
    assert result["code"] == "invalid_input"
    assert not willing.messages("workspace/applyEdit")


def test_a_closed_file_of_the_workspace_is_read_from_disk(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "häuser.py"
    path.write_text(BUGGY)
    editor.answers["workspace/applyEdit"] = lambda params: {"applied": True}
    options = {"starchat": {"model": script({"reply": REPLY})}}
    capabilities = {"workspace": {"workspaceEdit": {"documentChanges": True}}, "window": {"workDoneProgress": True}}
    editor.initialize(capabilities, initializationOptions=options, workspaceFolders=[{"uri": tmp_path.as_uri(), "name": "w"}])
    assert run(editor, "fix", {"uri": path.as_uri(), "range": WHERE})["outcome"] == "applied"
    [change] = editor.messages("workspace/applyEdit")[0]["params"]["edit"]["documentChanges"]
    assert change["textDocument"] == {"uri": path.as_uri(), "version": None}
    assert path.read_text() == BUGGY  # the editor writes, never the server


def test_settings_are_live_and_errors_are_outcomes(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, NEOVIM, "no-such-model")
    assert run(editor, "ask", {"question": "Who?"})["outcome"] == "failed"
    assert editor.request("starchat/status")["result"]["state"] == "failed"
    editor.notify("workspace/didChangeConfiguration", {"settings": {"starchat": {"model": script({"reply": "Me."})}}})
    assert run(editor, "ask", {"question": "Who?"})["text"] == "Me."
    assert editor.request("starchat/status")["result"]["state"] == "ready"
    states = [each["params"]["state"] for each in editor.messages("starchat/status")]
    assert "failed" in states and states[-1] == "ready"
    assert run(editor, "retry")["text"] == "Me."


@pytest.mark.parametrize(
    "params",
    [
        {"command": "nope"},
        {"command": "starchat.nope"},
        {"command": "starchat.fix"},
        {"command": "starchat.ask", "arguments": [{}]},
        {"command": "starchat.fix", "arguments": ["x"]},
        {"command": "starchat.fix", "arguments": [{"uri": 5}]},
        {"command": "starchat.fix", "arguments": [{"uri": "file:///a", "range": {"start": 1}}]},
    ],
)
def test_wrong_commands_are_refused(willing: Editor, params: dict[str, Any]) -> None:
    assert willing.request("workspace/executeCommand", params)["error"]["code"] == -32602


def test_the_server_ends_in_the_middle_of_an_answer(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, VSCODE, script({"reply": "x" * 5000, "delay_ms": 20}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    editor.begin(
        "workspace/executeCommand", {"command": "starchat.fix", "arguments": [{"uri": buffer.uri}], "workDoneToken": 1}
    )
    editor.wait_for(lambda each: "writing" in str(each.get("params", {}).get("value", "")))
    editor.process.stdin.close()
    assert editor.process.wait(2) == 1


def test_opening_a_file_starts_the_host(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, VSCODE, script({"reply": "x"}))
    Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    editor.wait_for(lambda each: each.get("method") == "starchat/status" and each["params"]["state"] == "ready")
    assert list((tmp_path / "home" / "hosts").glob("*.json"))


@pytest.mark.parametrize("how", ["request", "progress", "command", "twice"])
def test_a_stop_that_meets_the_edit_does_not_lose_it(
    editor: Editor, script: Callable[..., str], tmp_path: Path, how: str
) -> None:
    begin(editor, VSCODE, script({"reply": REPLY}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    calm = buffer.apply

    def slowly(params: dict[str, Any]) -> dict[str, Any]:
        if how in ("request", "twice"):
            editor.notify("$/cancelRequest", {"id": number})
        if how in ("progress", "twice"):
            editor.notify("window/workDoneProgress/cancel", {"token": asked["workDoneToken"]})
        if how in ("command", "twice"):
            editor.begin("workspace/executeCommand", {"command": "starchat.cancel"})
        time.sleep(0.3)
        return calm(params)

    editor.answers["workspace/applyEdit"] = slowly
    asked = command("fix", {"uri": buffer.uri, "range": WHERE})
    number = 1 + editor.begin("starchat/ping", {})
    editor.begin("workspace/executeCommand", asked)
    result = editor.reply(number)["result"]
    assert (result["outcome"], buffer.text) == ("applied", FIXED)
    assert "too late" in result["reason"]
    editor.answers["workspace/applyEdit"] = calm
    assert run(editor, "undo")["outcome"] == "applied"
    assert buffer.text == BUGGY


def test_an_edit_that_is_made_long_after_the_stop_can_be_taken_back(
    editor: Editor, script: Callable[..., str], tmp_path: Path
) -> None:
    begin(editor, VSCODE, script({"reply": REPLY}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    calm = buffer.apply

    def far_too_slowly(params: dict[str, Any]) -> dict[str, Any]:
        editor.notify("window/workDoneProgress/cancel", {"token": asked["workDoneToken"]})
        time.sleep(LAST_SECONDS + 1)
        return calm(params)

    editor.answers["workspace/applyEdit"] = far_too_slowly
    asked = command("fix", {"uri": buffer.uri, "range": WHERE})
    assert editor.request("workspace/executeCommand", asked)["result"]["outcome"] == "cancelled"
    editor.wait_for(lambda each: "You had stopped it" in each.get("params", {}).get("message", ""))
    assert buffer.text == FIXED
    editor.answers["workspace/applyEdit"] = calm
    assert run(editor, "undo")["outcome"] == "applied"
    assert buffer.text == BUGGY


def test_a_stop_that_meets_a_stale_edit_ends_it(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, VSCODE, script({"reply": REPLY}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    asked = []

    def refuse(params: dict[str, Any]) -> dict[str, Any]:
        asked.append(params)
        buffer.type("# typed\n" + buffer.text)
        editor.notify("window/workDoneProgress/cancel", {"token": 5})
        time.sleep(0.3)
        return {"applied": False, "failureReason": "stale"}

    editor.answers["workspace/applyEdit"] = refuse
    argument = {"uri": buffer.uri, "range": WHERE}
    result = editor.request(
        "workspace/executeCommand", {"command": "starchat.fix", "arguments": [argument], "workDoneToken": 5}
    )["result"]
    assert result["outcome"] == "cancelled"
    assert len(asked) == 1
    assert buffer.text == "# typed\n" + BUGGY


def test_again_is_about_the_same_lines(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    other = REPLY.replace("gcd(b, a % b)", "gcd(b, a - b)")
    begin(editor, VSCODE, script({"reply": [other, REPLY]}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    assert run(editor, "fix", {"uri": buffer.uri, "range": WHERE})["outcome"] == "applied"
    buffer.type("import os\nimport sys\n" + buffer.text)
    assert run(editor, "retry")["outcome"] == "applied"
    assert buffer.text == "import os\nimport sys\n" + FIXED


@pytest.mark.parametrize("name", CLIENTS)
def test_a_commit_message_for_what_is_staged(editor: Editor, script: Callable[..., str], tmp_path: Path, name: str) -> None:
    capabilities, _ = CLIENTS[name]
    message = "fix: return the sum\n\nadd() subtracted."
    model = script({"match": "return a \\+ b", "reply": f"Here it is:\n```\n{message}\n```\n"}, {"reply": "no"})
    begin(editor, capabilities, model)
    path = tmp_path / "repository" / "add.py"
    path.parent.mkdir()
    argument = {"uri": path.as_uri()}
    git = ["git", "-C", str(path.parent), "-c", "user.name=a", "-c", "user.email=a@b"]
    assert "repository" in run(editor, "commit", argument)["reason"]
    editor.heard.clear()
    subprocess.run([*git, "init", "-q"], check=True)
    path.write_text("def add(a, b):\n    return a + b\n")
    assert "Nothing is staged" in run(editor, "commit", argument)["reason"]
    editor.heard.clear()
    subprocess.run([*git, "add", "."], check=True)
    result = run(editor, "commit", argument)
    if "text" in result:
        assert (result["outcome"], result["text"]) == ("answered", f"{message}\n")
    else:
        answer = Path(result["reason"].removeprefix("The answer is in "))  # told of while it still comes, on a slow machine
        editor.wait_for(lambda each: answer.read_text() == f"{message}\n")
    kinds = [each["kind"] for each in code_actions(editor, Buffer(editor, path, BUGGY, "utf-16").uri)]
    assert not any("commit" in kind for kind in kinds)
