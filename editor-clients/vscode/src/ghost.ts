// Ghost text: the language client does the work; the user's switch stands here.

import * as vscode from "vscode";
import type { Middleware } from "vscode-languageclient/node";

export const ghostText: Middleware = {
  provideInlineCompletionItems: (document, position, context, token, next) =>
    vscode.workspace.getConfiguration("starchat", document).get("completion.enabled", true)
      ? next(document, position, context, token)
      : null,
};
