"""Commands that make a file: by the editor where it can, else by the server; never over another, and taken back again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from assistant.errors import SandboxError
from assistant.sandbox import check_available
from server.creating import place_for
from tests.server.buffer import BUGGY, CLIENTS, WHERE, Buffer, begin, code_actions, run
from tests.server.editor_at_pipes import EGLOT, VSCODE, Editor

GO = "package main\n\nfunc gcd(a, b int) int {\n\tfor b != 0 {\n\t\ta, b = b, a%b\n\t}\n\treturn a\n}\n"


class Disk:
    """Makes and removes files as an editor that saves at once."""

    def __init__(self, editor: Editor) -> None:
        self.editor, self.asked = editor, []
        editor.answers["workspace/applyEdit"] = self.apply

    def apply(self, params: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(params)
        for change in params["edit"]["documentChanges"]:
            path = Path(unquote(urlsplit(change.get("uri") or change["textDocument"]["uri"]).path))
            if change.get("kind") == "create":
                if path.exists():
                    return {"applied": False, "failureReason": "exists"}
                path.touch()
            elif change.get("kind") == "delete":
                path.unlink()
            else:
                path.write_text(change["edits"][0]["newText"])
        return {"applied": True}


def translated(editor: Editor, buffer: Buffer, **more: Any) -> dict[str, Any]:
    return run(editor, "translate", {"uri": buffer.uri, "range": WHERE, "language": "Go", **more})


@pytest.mark.parametrize("name", CLIENTS)
def test_a_translation_is_a_new_file_and_can_be_taken_back(
    editor: Editor, script: Callable[..., str], tmp_path: Path, name: str
) -> None:
    capabilities, encoding = CLIENTS[name]
    begin(editor, capabilities, script({"match": "Translate this code to Go", "reply": f"{GO}```\n"}, {"reply": "no"}))
    (tmp_path / "häuser.go").write_text("package taken\n")
    buffer = Buffer(editor, tmp_path / "häuser.py", BUGGY, encoding)
    disk = Disk(editor)
    actions = [each for each in code_actions(editor, buffer.uri) if each["kind"] == "refactor.rewrite.starchat.translate"]
    assert [each["title"] for each in actions] == ["StarChat: Translate to JavaScript", "StarChat: Translate to Go"]
    result = run(editor, "translate", actions[1]["command"]["arguments"][0])
    made = tmp_path / "häuser_2.go"
    assert made.read_text() == GO
    assert str(made) in result["reason"]
    assert (tmp_path / "häuser.go").read_text() == "package taken\n"
    assert len(disk.asked) == (name != "eglot")
    if name != "eglot":
        assert result["outcome"] == "applied"
        assert result["file"] == made.as_uri()
        shown = editor.wait_for(lambda each: each.get("method") == "window/showDocument")
        assert shown["params"]["uri"] == made.as_uri()
    assert run(editor, "undo")["outcome"] == "applied"
    assert not made.exists()
    assert run(editor, "undo")["outcome"] == "no_edit"


def test_a_new_file_is_made_and_filled_in_one_annotated_edit(
    editor: Editor, script: Callable[..., str], tmp_path: Path
) -> None:
    begin(editor, VSCODE, script({"reply": f"{GO}```\n"}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    disk = Disk(editor)
    translated(editor, buffer)
    [asked] = disk.asked
    made, filled = asked["edit"]["documentChanges"]
    uri = (tmp_path / "numbers.go").as_uri()
    [note] = asked["edit"]["changeAnnotations"]
    assert made == {
        "kind": "create",
        "uri": uri,
        "options": {"overwrite": False, "ignoreIfExists": False},
        "annotationId": note,
    }
    assert filled["textDocument"] == {"uri": uri, "version": None}
    assert filled["edits"][0]["newText"] == GO


def test_an_editor_that_makes_no_file_keeps_the_answer(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, VSCODE, script({"reply": f"{GO}```\n"}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    editor.answers["workspace/applyEdit"] = lambda params: {"applied": False, "failureReason": "read-only"}
    result = translated(editor, buffer)
    assert result["outcome"] == "no_edit"
    assert "read-only" in result["reason"]
    assert GO in result["text"]
    assert run(editor, "undo")["outcome"] == "no_edit"


def test_a_new_file_that_was_changed_is_not_taken_back(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, EGLOT, script({"reply": f"{GO}```\n"}))
    buffer = Buffer(editor, tmp_path / "numbers.py", BUGGY, "utf-16")
    translated(editor, buffer)
    made = tmp_path / "numbers.go"
    made.write_text(GO + "// mine\n")
    assert run(editor, "undo", {"uri": made.as_uri()})["outcome"] == "conflict"
    made.write_text(GO)
    editor.open(made.as_uri(), GO + "typed", language="go")
    assert run(editor, "undo")["outcome"] == "conflict"
    assert made.exists()


def test_where_there_is_no_folder_nothing_is_made(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    begin(editor, EGLOT, script({"reply": f"{GO}```\n"}))
    editor.open("untitled:one", BUGGY)
    editor.begin(
        "workspace/executeCommand", {"command": "starchat.translate", "arguments": [{"uri": "untitled:one", "language": "go"}]}
    )
    message = editor.wait_for(lambda each: each.get("method") == "window/showMessage")
    assert "folder" in message["params"]["message"]


def test_an_untitled_document_has_its_files_in_the_workspace(
    editor: Editor, script: Callable[..., str], tmp_path: Path
) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    options = {"starchat": {"model": script({"reply": f"{GO}```\n"})}}
    editor.initialize(
        {"window": {"workDoneProgress": True}}, initializationOptions=options, workspaceFolders=[{"uri": folder.as_uri()}]
    )
    editor.open("untitled:one", BUGGY)
    result = run(editor, "translate", {"uri": "untitled:one", "language": "go"})
    assert result["file"] == (folder / "translated.go").as_uri()
    assert (folder / "translated.go").read_text() == GO


@pytest.mark.parametrize("inside", [True, False])
def test_a_new_file_stays_in_the_workspace(editor: Editor, script: Callable[..., str], tmp_path: Path, inside: bool) -> None:
    workspace, outside = tmp_path / "work", tmp_path / "outside"
    workspace.mkdir()
    outside.mkdir()
    (workspace / "link").symlink_to(outside)
    options = {"starchat": {"model": script({"reply": f"{GO}```\n"})}}
    editor.initialize(
        {"window": {"workDoneProgress": True}}, initializationOptions=options, workspaceFolders=[{"uri": workspace.as_uri()}]
    )
    uri = (workspace / "numbers.py" if inside else workspace / "link" / "numbers.py").as_uri()
    editor.open(uri, BUGGY)
    result = run(editor, "translate", {"uri": uri, "language": "Go"})
    assert result["outcome"] == ("applied" if inside else "failed")
    assert (workspace / "numbers.go").exists() == inside
    assert not list(outside.iterdir())


def test_tests_and_plots(editor: Editor, script: Callable[..., str], tmp_path: Path) -> None:
    tests = "def test_gcd():\n    assert gcd(4, 6) == 2\n```\n"
    plot = "import matplotlib.pyplot as plt\n\nplt.plot([1, 2])\n```\n"
    begin(editor, EGLOT, script({"match": "Write a test file", "reply": tests}, {"match": "draws this", "reply": plot}))
    buffer = Buffer(editor, tmp_path / "numbers.py", "# ai: draw the results\n" + BUGGY, "utf-16")
    where = {"start": {"line": 4, "character": 0}, "end": {"line": 7, "character": 24}}
    run(editor, "tests", {"uri": buffer.uri, "range": where})
    assert "assert gcd(4, 6) == 2" in (tmp_path / "test_numbers.py").read_text()
    start = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}}
    params = {"textDocument": {"uri": buffer.uri}, "range": start, "context": {"diagnostics": []}}
    actions = editor.request("textDocument/codeAction", params)["result"]
    drawing = next(each for each in actions if each["kind"] == "refactor.rewrite.starchat.plot")
    editor.heard.clear()
    run(editor, "plot", drawing["command"]["arguments"][0])
    assert "plt.plot([1, 2])" in (tmp_path / "plot.py").read_text()


@pytest.mark.parametrize("language", ["", "Klingon", None])
def test_a_translation_needs_a_language(shared: Editor, tmp_path: Path, language: str | None) -> None:
    buffer = Buffer(shared, tmp_path / "numbers.py", BUGGY, "utf-8")
    argument = {"uri": buffer.uri, "language": language}
    params = {"command": "starchat.translate", "arguments": [argument]}
    assert shared.request("workspace/executeCommand", params)["error"]["code"] == -32602


def test_every_place_is_taken(tmp_path: Path) -> None:
    from server.documents import Documents
    from server.session import Session

    session = Session(editor=None, documents=Documents(), folders=(tmp_path.as_uri(),))  # type: ignore[arg-type]
    (tmp_path / "a.py").symlink_to("nowhere")
    session.documents.open((tmp_path / "a_2.py").as_uri(), "python", 1, "x")
    assert place_for(session, "", "", "a.py", "x").path == tmp_path / "a_3.py"


@pytest.mark.parametrize("agreed", [True, False])
def test_a_figure_is_drawn_where_the_user_agrees(
    editor: Editor, script: Callable[..., str], tmp_path: Path, agreed: bool
) -> None:
    try:
        check_available()
    except SandboxError as error:
        pytest.skip(str(error))
    plot = "import matplotlib.pyplot as plt\n\nplt.plot([1, 2])\n```\n"
    begin(editor, VSCODE, script({"reply": plot, "prefill_ms": 500}))
    buffer = Buffer(editor, tmp_path / "data.py", BUGGY, "utf-16")
    disk = Disk(editor)
    title = "Draw it" if agreed else "Only the script"
    editor.answers["window/showMessageRequest"] = lambda params: {"title": title}
    result = run(editor, "plot", {"uri": buffer.uri, "question": "two points"})
    assert result["outcome"] == "applied", result
    assert (tmp_path / "plot.py").exists() and len(disk.asked) == 1
    assert ("answer" in result) == agreed
    if agreed:
        picture = Path(result["answer"].removeprefix("file://"))
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_mode & 0o077 == 0
        editor.wait_for(lambda each: each.get("params", {}).get("uri") == result["answer"])
