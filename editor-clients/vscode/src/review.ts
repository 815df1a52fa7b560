// An edit that is to be confirmed is shown as a diff first; each of its changes can be taken or left.

import * as vscode from "vscode";
import { TextDocumentEdit, type ApplyWorkspaceEditParams, type WorkspaceMiddleware } from "vscode-languageclient/node";
import { onEnd, waitForUser } from "./jobs";
import { Proposal, SCHEME } from "./proposal";

const open = new Map<string, Proposal>();
const changed = new vscode.EventEmitter<vscode.Uri>();

/** `workspace/applyEdit`: edits that need no confirmation, and those that make files, go their usual way. */
export const handleApplyEdit: NonNullable<WorkspaceMiddleware["handleApplyEdit"]> = async (params, next) => {
  const edit = toConfirm(params);
  const document = edit && vscode.workspace.textDocuments.find(({ uri }) => uri.toString() === vscode.Uri.parse(edit.textDocument.uri).toString());
  if (edit === undefined || document === undefined) {
    return next(params, noToken);
  }
  const taken = await decide(new Proposal(document, edit.edits));
  if (taken.length === 0) {
    return { applied: false, failureReason: "You left the text as it was." };
  }
  const edits = taken.map(({ edit: { range, newText } }) => ({ range, newText }));
  return next({ ...params, edit: { documentChanges: [{ ...edit, edits }] } }, noToken);
};

export function registerReview(): vscode.Disposable {
  const command = (name: string, act: (proposal: Proposal) => unknown): vscode.Disposable =>
    vscode.commands.registerCommand(`starchat.review.${name}`, () => {
      const proposal = current();
      if (proposal) act(proposal);
    });
  return vscode.Disposable.from(
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, {
      onDidChange: changed.event,
      provideTextDocumentContent: (uri) => open.get(uri.toString())?.text ?? "",
    }),
    vscode.window.tabGroups.onDidChangeTabs(({ closed }) => closed.forEach((tab) => proposalOf(tab)?.discard())),
    onEnd((uri) => open.forEach((proposal) => proposal.document.uri.toString() === uri && proposal.discard())),
    command("apply", (proposal) => proposal.apply()),
    command("discard", (proposal) => proposal.discard()),
    command("accept", (proposal) => judge(proposal, "accepted")),
    command("reject", (proposal) => judge(proposal, "rejected")),
  );
}

/** Leave every text as it is. */
export function discardAll(): void {
  open.forEach((proposal) => proposal.discard());
}

async function decide(proposal: Proposal): Promise<Proposal["hunks"]> {
  open.set(proposal.uri.toString(), proposal);
  waitForUser();
  await setContexts();
  const [{ length }, name] = [proposal.hunks, proposal.document.uri.path.split("/").pop()];
  const title = `${name}: ${length === 1 ? "one change" : `${length} changes`} proposed`;
  await vscode.commands.executeCommand("vscode.diff", proposal.document.uri, proposal.uri, title, { preview: false });
  proposal.mark();
  const taken = await proposal.decided;
  open.delete(proposal.uri.toString());
  await setContexts();
  await vscode.window.tabGroups.close(vscode.window.tabGroups.all.flatMap(({ tabs }) => tabs).filter((tab) => isDiffOf(tab, proposal)));
  await vscode.window.showTextDocument(proposal.document);
  return taken;
}

/** What the buttons of the diff and the palette go by. */
async function setContexts(): Promise<void> {
  const many = [...open.values()].some(({ hunks }) => hunks.length > 1);
  await vscode.commands.executeCommand("setContext", "starchat.reviewing", open.size > 0);
  await vscode.commands.executeCommand("setContext", "starchat.reviewingMany", many);
}

function judge(proposal: Proposal, verdict: "accepted" | "rejected"): void {
  proposal.judge(verdict);
  changed.fire(proposal.uri);
}

/** The one edit of a document in `params`, where the server wants it confirmed. */
function toConfirm({ edit }: ApplyWorkspaceEditParams): TextDocumentEdit | undefined {
  const asks = Object.values(edit.changeAnnotations ?? {}).some(({ needsConfirmation }) => needsConfirmation);
  const [first, ...more] = edit.documentChanges ?? [];
  return asks && more.length === 0 && TextDocumentEdit.is(first) ? first : undefined;
}

function current(): Proposal | undefined {
  return open.get(vscode.window.activeTextEditor?.document.uri.toString() ?? "") ?? [...open.values()].at(-1);
}

function proposalOf(tab: vscode.Tab): Proposal | undefined {
  return [...open.values()].find((proposal) => isDiffOf(tab, proposal));
}

function isDiffOf({ input }: vscode.Tab, { uri }: Proposal): boolean {
  return input instanceof vscode.TabInputTextDiff && input.modified.toString() === uri.toString();
}

const noToken = new vscode.CancellationTokenSource().token;
