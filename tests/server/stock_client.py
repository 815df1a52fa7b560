"""A client that nobody here wrote (pytest-lsp, on pygls), with capabilities as editors were recorded to send them."""

from __future__ import annotations

import ast
import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lsprotocol import types
from lsprotocol.converters import get_converter
from pygls.protocol import default_converter
from pygls.workspace import PositionCodec, TextDocument
from pytest_lsp import LanguageClient, client_capabilities
from pytest_lsp.client import DEFAULT_CLIENT_FEATURES, register_lsp_features

from tests.server.editor_at_pipes import EGLOT, ROOT, VSCODE

RECORDED = {
    "VS Code 1.65": "visual-studio-code@v1.65.2",
    "Neovim 0.6": "neovim@v0.6.1",
    "Neovim 0.11": "neovim@v0.11.0",
    "Emacs 29": "emacs@v29.1",
}
WRITTEN = {"VS Code, LSP 3.18": VSCODE, "Emacs 28": EGLOT, "nothing": {}}
CLIENTS = (*RECORDED, *WRITTEN)
BUGGY = '"""Ze\u0308hlen 𝒳."""\n\n\ndef gcd(a, b):\n    if b == 0:\n        return a\n    return gcd(a % b, b)  # 𝒳\n'


def capabilities(name: str) -> types.ClientCapabilities:
    if name in RECORDED:
        return client_capabilities(RECORDED[name])
    return get_converter().structure(WRITTEN[name], types.ClientCapabilities)


class Stock:
    """The client, one document in it, and everything that the server asked of it."""

    def __init__(self, client: LanguageClient, path: Path) -> None:
        self.client, self.uri, self.version = client, path.as_uri(), 1
        self.asked: list[types.ApplyWorkspaceEditParams] = []
        self.progress: dict[int | str, list[dict[str, Any]]] = {}
        features = {**DEFAULT_CLIENT_FEATURES, types.PROGRESS: self._take_progress()}  # its own knows no tokens of a chat
        register_lsp_features(client, features)
        client.feature(types.WORKSPACE_APPLY_EDIT)(self._take_edits())
        client.feature(types.WORKSPACE_TEXT_DOCUMENT_CONTENT_REFRESH)(lambda params: None)
        client.feature(types.CLIENT_REGISTER_CAPABILITY)(lambda params: None)

    async def begin(self, name: str, settings: dict[str, Any]) -> types.InitializeResult:
        params = types.InitializeParams(capabilities(name), initialization_options={"starchat": settings})
        result = await self.client.initialize_session(params)
        encoding = types.PositionEncodingKind(result.capabilities.position_encoding)
        self.text = TextDocument(self.uri, BUGGY, position_codec=PositionCodec(encoding))
        item = types.TextDocumentItem(self.uri, "python", self.version, BUGGY)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return result

    async def actions(self, last: int, *diagnostics: types.Diagnostic) -> list[Any]:
        where = types.Range(types.Position(3, 0), types.Position(last, 0))
        params = types.CodeActionParams(types.TextDocumentIdentifier(self.uri), where, types.CodeActionContext(diagnostics))
        return list(await self.client.text_document_code_action_async(params) or [])

    def command_of(self, action: types.Command) -> types.Command:
        """The command of an action: lsprotocol reads an action as a command whose name is the written form of its own."""
        if not action.command.startswith("{"):
            return action
        return types.Command(**ast.literal_eval(action.command))

    async def run(self, command: types.Command, token: str | None = None) -> Any:
        params = types.ExecuteCommandParams(command.command, arguments=command.arguments, work_done_token=token)
        return await self.client.workspace_execute_command_async(params)

    def _take_progress(self) -> Callable[[Any], None]:
        def take(params: types.ProgressParams) -> None:
            self.progress.setdefault(params.token, []).append(params.value)

        return take

    def _take_edits(self) -> Callable[[Any], types.ApplyWorkspaceEditResult]:
        def take(params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
            return self._apply(params)  # pygls writes on what it is given, which a method does not let it

        return take

    def _apply(self, params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
        self.asked.append(params)
        documents = params.edit.document_changes
        if documents is None:
            self._type(params.edit.changes[self.uri])
        for change in documents or ():
            path = Path(unquote(urlsplit(getattr(change, "uri", None) or change.text_document.uri).path))
            if isinstance(change, types.CreateFile):
                assert not path.exists()
                path.touch()
            elif isinstance(change, types.DeleteFile):
                path.unlink()
            elif change.text_document.uri == self.uri:
                assert change.text_document.version == self.version
                self._type(change.edits)
            else:
                path.write_text(change.edits[0].new_text, encoding="utf-8")
        return types.ApplyWorkspaceEditResult(applied=True)

    def _type(self, edits: list[types.TextEdit]) -> None:
        """Make the edits as pygls does in its own documents, the last one first."""
        for edit in sorted(edits, key=lambda each: (each.range.start.line, each.range.start.character), reverse=True):
            self.text.apply_change(types.TextDocumentContentChangePartial(edit.range, edit.new_text))
        self.version += 1
        identifier = types.VersionedTextDocumentIdentifier(self.version, self.uri)
        whole = types.TextDocumentContentChangeWholeDocument(self.text.source)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(identifier, [whole]))


@asynccontextmanager
async def stock(environment: dict[str, str], path: Path) -> AsyncIterator[Stock]:
    """The client with the real server on its pipes."""
    client = LanguageClient(converter_factory=default_converter)
    editor = Stock(client, path)
    await client.start_io(sys.executable, "-P", "-m", "server", cwd=path.parent, env={**environment, "PYTHONPATH": str(ROOT)})
    try:
        yield editor
        await asyncio.wait_for(client.shutdown_session(), 10)
    except BaseException:
        client._server.kill()  # else `stop` waits for it
        raise
    finally:
        await client.stop()
