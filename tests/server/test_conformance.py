"""Every feature with every set of capabilities, by a client that nobody here wrote; the matrix in the docs is what was seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from lsprotocol import types

from tests.server.buffer import end_hosts
from tests.server.stock_client import BUGGY, CLIENTS, Stock, capabilities, stock

PAGE = Path(__file__).parents[2] / "docs" / "language-server.md"
FIXED = BUGGY.replace("gcd(a % b, b)", "gcd(b, a % b)")
GO = "package main\n\nfunc gcd(a, b int) int {\n\treturn a\n}\n"
RULES = (
    {"match": "<fim_prefix>", "reply": "b"},
    {"match": "Good morning", "reply": "Hello yourself."},
    {"match": "Translate this code", "reply": f"{GO}```\n"},
    {"match": "Explain", "reply": "It is **Euclid's**.", "delay_ms": 10},
    {"match": "a long story", "reply": "x" * 5000, "delay_ms": 20},
    {"reply": "\n".join(FIXED.splitlines()[3:]) + "\n```\n"},
)


@pytest.mark.filterwarnings("error::pytest_lsp.LspSpecificationWarning")
@pytest.mark.parametrize("name", CLIENTS)
def test_conformance(environment: dict[str, str], script: Callable[..., str], tmp_path: Path, name: str) -> None:
    path = tmp_path / "numbers.py"
    path.write_text(BUGGY, encoding="utf-8")
    seen = asyncio.run(observed(name, environment, script(*RULES), path))
    end_hosts(tmp_path / "home")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.read_text().splitlines() if line[:2] == "| "]
    header = next(row for row in rows if name in row)
    column = {row[0]: row[header.index(name)] for row in rows if len(row) == len(header) and row[0] in seen}
    assert column == seen


async def observed(name: str, environment: dict[str, str], model: str, path: Path) -> dict[str, str]:
    """What each feature came to: the cells of the matrix."""
    async with asyncio.timeout(100), stock(environment, path) as editor:
        result = await editor.begin(name, {"model": model})
        return {
            "positions": str(result.capabilities.position_encoding),
            "fix a diagnostic": await fixed(editor),
            "undo it": await undone(editor),
            "translate": await translated(editor),
            "undo that": await removed(editor),
            "explain": await explained(editor),
            "a job without a token": await early(editor),
            "stop a job": await stopped(editor),
            "chat": await chatted(editor),
            "inline completion": await completed(editor),
        }


async def fixed(editor: Stock) -> str:
    where = types.Range(types.Position(6, 4), types.Position(6, 9))
    actions = await editor.actions(7, types.Diagnostic(where, "RecursionError", source="pytest"))
    chosen = next(each for each in actions if each.title.endswith("Fix a bug"))
    outcome = await editor.run(editor.command_of(chosen), "fix")
    assert outcome["outcome"] == "applied", outcome
    assert editor.text.source == FIXED
    [asked] = editor.asked
    form = "plain edit"
    if asked.edit.document_changes:
        form = "versioned, annotated edit" if asked.edit.change_annotations else "versioned edit"
    return f"{'command' if editor.command_of(chosen) is chosen else 'action'}, {form}"


async def undone(editor: Stock) -> str:
    assert (await editor.run(types.Command("", "starchat.undo")))["outcome"] == "applied"
    assert editor.text.source == BUGGY
    return "the same bytes"


async def translated(editor: Stock) -> str:
    before = len(editor.asked)
    choice = next(each for each in await editor.actions(7) if each.title.endswith("Translate to Go"))
    outcome = await editor.run(editor.command_of(choice), "translate")
    assert outcome["outcome"] == "applied", outcome
    assert read(outcome["file"]) == GO
    return "made by the client" if len(editor.asked) > before else "made by the server"


async def removed(editor: Stock) -> str:
    before = len(editor.asked)
    assert (await editor.run(types.Command("", "starchat.undo")))["outcome"] == "applied"
    return "removed by the client" if len(editor.asked) > before else "removed by the server"


async def explained(editor: Stock) -> str:
    argument = {"uri": editor.uri, "range": {"start": {"line": 3, "character": 0}, "end": {"line": 6, "character": 9}}}
    editor.client.shown_documents.clear()
    outcome = await editor.run(types.Command("", "starchat.explain", arguments=[argument]), "explain")
    assert (outcome["outcome"], outcome["text"]) == ("answered", "It is **Euclid's**.")
    if outcome["answer"].startswith("starchat:"):
        params = types.TextDocumentContentParams(outcome["answer"])
        assert (await editor.client.workspace_text_document_content_async(params)).text == outcome["text"]
    else:
        assert read(outcome["answer"]) == outcome["text"]
    kind = "virtual document" if outcome["answer"].startswith("starchat:") else "file"
    shown, said = editor.client.shown_documents, editor.client.messages
    await until(lambda: bool(shown) or any("The answer is in" in each.message for each in said))
    assert not shown or shown[-1].uri == outcome["answer"]
    return f"{kind}, {'shown' if shown else 'told'}"


async def early(editor: Stock) -> str:
    """The reply comes early; the job is stopped by its id, and its end is told."""
    argument = {"uri": editor.uri, "question": "a long story"}
    outcome = await asyncio.wait_for(editor.run(types.Command("", "starchat.edit", arguments=[argument])), 10)
    assert outcome["running"]
    stopped = await editor.run(types.Command("", "starchat.cancel", arguments=[{"job": outcome["job"]}]))
    assert stopped == {"cancelled": [outcome["job"]]}
    reports, said = editor.progress.setdefault(f"starchat-{outcome['job']}", []), editor.client.messages
    await until(lambda: any(each["kind"] == "end" for each in reports) or any(each.message == "Stopped." for each in said))
    return f"early reply, {'progress' if reports else 'message'}"


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what is waited for comes from a library
            await asyncio.sleep(0.01)


def read(uri: str) -> str:
    return Path(unquote(urlsplit(uri).path)).read_text(encoding="utf-8")


async def stopped(editor: Stock) -> str:
    argument = {"uri": editor.uri, "question": "a long story"}
    task = asyncio.create_task(editor.run(types.Command("", "starchat.edit", arguments=[argument]), "stop"))
    await until(lambda: any(each["kind"] == "report" for each in editor.progress.get("stop", [])))
    editor.client.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams("stop"))
    assert (await asyncio.wait_for(task, 10))["outcome"] == "cancelled"
    return "yes"


async def chatted(editor: Stock) -> str:
    ask: Any = editor.client.protocol.send_request_async
    chat = (await ask("starchat/chat/create", {})).chat
    answer = await ask("starchat/chat/turn", {"chat": chat, "text": "Good morning", "token": "chat"})
    assert answer.text == "Hello yourself."
    assert "".join(each.get("text", "") for each in editor.progress["chat"]) == answer.text
    return "streamed"


async def completed(editor: Stock) -> str:
    context = types.InlineCompletionContext(types.InlineCompletionTriggerKind.Invoked)
    where = types.Position(6, 11)
    params = types.InlineCompletionParams(context, types.TextDocumentIdentifier(editor.uri), where)
    answer = await editor.client.text_document_inline_completion_async(params)
    assert [each.insert_text for each in answer.items] == ["b"]
    return "yes"


def test_capabilities_are_what_was_recorded() -> None:
    """The recordings are newer, or older, than what the other tests use; both must say something."""
    assert capabilities("Emacs 29").window.work_done_progress
    assert capabilities("Neovim 0.11").general.position_encodings[0] == "utf-8"
