// What is to be confirmed is shown as a diff first: an edit, each of whose changes can be taken or left, or a new file.

import * as vscode from "vscode";
import { CreateFile, TextDocumentEdit, type ApplyWorkspaceEditParams, type WorkspaceMiddleware } from "vscode-languageclient/node";
import { onEnd, waitForUser } from "./jobs";
import { Proposal, SCHEME } from "./proposal";

const open = new Map<string, Proposal>();
const changed = new vscode.EventEmitter<vscode.Uri>();

/** `workspace/applyEdit`: what needs no confirmation goes its usual way. */
export const handleApplyEdit: NonNullable<WorkspaceMiddleware["handleApplyEdit"]> = async (params, next) => {
  const wanted = toConfirm(params);
  const document = wanted && vscode.workspace.textDocuments.find(({ uri }) => uri.toString() === wanted.target.toString());
  if (wanted === undefined || (document === undefined && wanted.made === undefined)) {
    return next(params, noToken);
  }
  const taken = await decide(new Proposal(wanted.target, document, wanted.edit.edits));
  if (taken.length === 0) {
    return { applied: false, failureReason: document ? LEFT : "You did not want the file." };
  }
  const edits = taken.map(({ edit: { range, newText } }) => ({ range, newText }));
  return next({ ...params, edit: { documentChanges: [...(wanted.made ? [wanted.made] : []), { ...wanted.edit, edits }] } }, noToken);
};

/** Why nothing was changed: a choice of the user's, which needs no warning. */
export const LEFT = "You left the text as it was.";

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
    onEnd((uri) => open.forEach((proposal) => proposal.document?.uri.toString() === uri && proposal.discard())),
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
  const before = proposal.document?.uri ?? proposal.uri.with({ query: "nothing" });
  await vscode.commands.executeCommand("vscode.diff", before, proposal.uri, titleOf(proposal), { preview: false });
  proposal.mark();
  const taken = await proposal.decided;
  open.delete(proposal.uri.toString());
  await setContexts();
  await vscode.window.tabGroups.close(vscode.window.tabGroups.all.flatMap(({ tabs }) => tabs).filter((tab) => isDiffOf(tab, proposal)));
  if (proposal.document) await vscode.window.showTextDocument(proposal.document);
  return taken;
}

function titleOf({ document, hunks: { length }, uri }: Proposal): string {
  const name = uri.path.split("/").pop();
  if (document === undefined) return `${name}: new file proposed`;
  return `${name}: ${length === 1 ? "one change" : `${length} changes`} proposed`;
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

/** The one edit of a document in `params`, where the server wants it confirmed; `made`: of a file that is made for it. */
function toConfirm({ edit }: ApplyWorkspaceEditParams): { target: vscode.Uri; made?: CreateFile; edit: TextDocumentEdit } | undefined {
  const asks = Object.values(edit.changeAnnotations ?? {}).some(({ needsConfirmation }) => needsConfirmation);
  const changes = edit.documentChanges ?? [];
  const [made, text] = [changes.find(CreateFile.is), changes.find(TextDocumentEdit.is)];
  if (!asks || text === undefined || changes.length !== (made ? 2 : 1)) return undefined;
  const target = vscode.Uri.parse(text.textDocument.uri);
  return made ? { target, made: { kind: made.kind, uri: made.uri, ...(made.options ? { options: made.options } : {}) }, edit: text } : { target, edit: text };
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
