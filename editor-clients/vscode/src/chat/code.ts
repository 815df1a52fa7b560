// What can be done with code in an answer: insert it, copy it, or have it applied where it belongs.

import * as vscode from "vscode";
import type { Assistant } from "../assistant";
import type { Outcome } from "../jobs";
import { LEFT } from "../review";
import type { Reference } from "./messages";

export async function copy(code: string): Promise<void> {
  await vscode.env.clipboard.writeText(code);
  vscode.window.setStatusBarMessage("$(check) StarChat: copied", 2000);
}

/** Put the code where the cursor is, in place of what is selected. */
export async function insert(code: string): Promise<void> {
  const editor = editorInUse();
  if (editor === undefined) {
    void vscode.window.showInformationMessage("StarChat: Open the file first into which the code goes.");
    return;
  }
  await editor.edit((edit) => edit.replace(editor.selection, code));
  await vscode.window.showTextDocument(editor.document, editor.viewColumn);
}

/** Have the server find the place of the code, in what the question was about or else in the open file; it is shown as a diff before anything changes. */
export async function apply(assistant: Assistant, code: string, candidates: readonly Reference[]): Promise<void> {
  const about = candidates.length > 1 ? await chosen(candidates) : candidates[0];
  if (candidates.length > 1 && about === undefined) return;
  const uri = about?.uri ?? editorInUse()?.document.uri.toString();
  if (uri === undefined) {
    void vscode.window.showInformationMessage("StarChat: Open the file first that the code belongs to.");
    return;
  }
  await vscode.workspace.openTextDocument(vscode.Uri.parse(uri));
  const range = about?.range ? { range: about.range } : {};
  const { outcome, reason } = await assistant.request<Outcome>("starchat/edit/apply", { uri, code, ...range });
  if (outcome === "applied") {
    vscode.window.setStatusBarMessage(`$(check) StarChat: ${reason}`, 4000);
  } else if (!reason?.includes(LEFT)) {
    void vscode.window.showWarningMessage(`StarChat: ${reason}`);
  }
}

/** Several things went with the question: the user says which of them the code is for. */
async function chosen(candidates: readonly Reference[]): Promise<Reference | undefined> {
  const items = candidates.map((reference) => ({ label: reference.label, reference }));
  return (await vscode.window.showQuickPick(items, { title: "StarChat", placeHolder: "Where does this code belong?" }))?.reference;
}

/** Not a log, nor the text of a diff: these take no code. */
function editorInUse(): vscode.TextEditor | undefined {
  const takesCode = ({ document }: vscode.TextEditor): boolean => ["file", "untitled", "vscode-notebook-cell"].includes(document.uri.scheme);
  const active = vscode.window.activeTextEditor;
  return active && takesCode(active) ? active : vscode.window.visibleTextEditors.find(takesCode);
}
