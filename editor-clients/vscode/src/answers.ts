// Answers that are read rather than applied: rendered beside the code, growing as they come.

import * as vscode from "vscode";
import type { Middleware } from "vscode-languageclient/node";
import { harmless } from "./harmless";

/** The server's own documents are shown as rendered Markdown where the editor can; everything else as usual. */
export const showDocument: NonNullable<NonNullable<Middleware["window"]>["showDocument"]> = async (params, token, next) => {
  const uri = vscode.Uri.parse(params.uri);
  if (uri.scheme !== "starchat") {
    return next(params, token);
  }
  try {
    await vscode.commands.executeCommand("markdown.showPreviewToSide", uri);
    return { success: true };
  } catch {
    return next(params, token); // the editor's Markdown preview is turned off
  }
};

/** What the preview shows must not load anything, whoever talked the model into it. */
export const provideTextDocumentContent: NonNullable<Middleware["provideTextDocumentContent"]> = async (uri, token, next) => {
  const text = await next(uri, token);
  return text ? harmless(text) : text;
};
