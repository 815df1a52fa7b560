// Answers that are read rather than applied: rendered beside the code, growing as they come.

import * as vscode from "vscode";
import type { Middleware } from "vscode-languageclient/node";

/** The server's own documents are shown as rendered Markdown where the editor can; everything else as usual. */
export const showDocument: NonNullable<NonNullable<Middleware["window"]>["showDocument"]> = async (params, token, next) => {
  const uri = vscode.Uri.parse(params.uri);
  const known = uri.scheme === "starchat" && (await vscode.commands.getCommands(true)).includes("markdown.showPreviewToSide");
  if (!known) {
    return next(params, token);
  }
  await vscode.commands.executeCommand("markdown.showPreviewToSide", uri);
  return { success: true };
};
