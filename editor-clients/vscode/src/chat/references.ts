// What goes with a question: the selection, or files.

import * as vscode from "vscode";
import type { Reference } from "./messages";

/** The selected lines of the editor that was used last, or all of its file where nothing is selected. */
export function selected(): Reference | undefined {
  const editor = vscode.window.activeTextEditor ?? vscode.window.visibleTextEditors.find(({ document }) => !document.isClosed);
  if (editor === undefined) {
    return undefined;
  }
  const { document, selection } = editor;
  return selection.isEmpty ? wholeFile(document.uri) : lines(document.uri, selection);
}

export function wholeFile(uri: vscode.Uri): Reference {
  return { label: nameOf(uri), uri: uri.toString() };
}

/** Files of the user's choice. */
export async function choose(): Promise<Reference[]> {
  const open = vscode.workspace.textDocuments.filter(({ uri }) => uri.scheme === "file").map(({ uri }) => uri);
  const found = await vscode.workspace.findFiles("**/*", "**/{node_modules,.git,.venv,__pycache__,dist,build}/**", 2000);
  const unique = new Map([...open, ...found].map((uri) => [uri.toString(), uri]));
  const items = [...unique.values()].map((uri) => ({ label: `$(file) ${nameOf(uri)}`, description: vscode.workspace.asRelativePath(uri), uri }));
  const options = { title: "StarChat", placeHolder: "Files that go with the question", canPickMany: true as const, matchOnDescription: true };
  const chosen = await vscode.window.showQuickPick(items, options);
  return (chosen ?? []).map(({ uri }) => wholeFile(uri));
}

/** Show the file, with the lines selected. */
export async function reveal({ uri, range }: Reference): Promise<void> {
  if (uri === undefined) return;
  const selection = range && rangeOf(range);
  await vscode.window.showTextDocument(vscode.Uri.parse(uri), selection ? { selection } : {});
}

export function rangeOf({ start, end }: NonNullable<Reference["range"]>): vscode.Range {
  return new vscode.Range(start.line, start.character, end.line, end.character);
}

export function same(one: Reference, other: Reference): boolean {
  return one.label === other.label && one.uri === other.uri;
}

function lines(uri: vscode.Uri, { start, end }: vscode.Selection): Reference {
  // A selection that ends before the first character of a line does not mean that line.
  const last = end.character === 0 && end.line > start.line ? end.line - 1 : end.line;
  const numbers = start.line === last ? `${last + 1}` : `${start.line + 1}–${last + 1}`;
  const range = { start: { line: start.line, character: 0 }, end: { line: last, character: end.line === last ? end.character : 0 } };
  return { label: `${nameOf(uri)}:${numbers}`, uri: uri.toString(), range };
}

function nameOf(uri: vscode.Uri): string {
  return uri.path.slice(uri.path.lastIndexOf("/") + 1);
}
