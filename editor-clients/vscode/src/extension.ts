// Where the extension begins; each part registers what it brings.

import * as vscode from "vscode";
import type { Middleware } from "vscode-languageclient/node";
import { provideTextDocumentContent, showDocument } from "./answers";
import type { Argument } from "./argument";
import { Assistant } from "./assistant";
import { registerChat } from "./chat/commands";
import { registerCommands } from "./commands";
import { offerSetUp, registerSetUp } from "./environment";
import { ghostText } from "./ghost";
import { run } from "./jobs";
import { registerMenu } from "./menu";
import { registerWithEditor } from "./participant";
import { handleApplyEdit, registerReview } from "./review";
import { registerStatusBar } from "./status";

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const output = vscode.window.createOutputChannel("StarChat", { log: true });
  const assistant = new Assistant(context, output, middleware);
  context.subscriptions.push(
    output,
    assistant,
    registerCommands(context, assistant),
    registerChat(context, assistant),
    registerReview(),
    registerSetUp(context, assistant),
    registerStatusBar(assistant),
    registerMenu(assistant),
    registerWithEditor(assistant),
    vscode.commands.registerCommand("starchat.restart", () => assistant.restart()),
    vscode.commands.registerCommand("starchat.showLog", () => output.show()),
    // The walkthrough looks at it whenever it changes, so it changes with the state of the model, too.
    assistant.onChange(() => void vscode.commands.executeCommand("setContext", "starchat.running", assistant.life === "running" && assistant.status.state)),
  );
  await assistant.start();
  void offerSetUp(assistant);
}

/** Where the language client's own work is looked at or taken over. */
function middleware(assistant: Assistant): Middleware {
  return {
    ...ghostText,
    provideTextDocumentContent,
    window: { showDocument },
    workspace: { handleApplyEdit },
    executeCommand: (command, [argument]) => run(assistant, command.replace(/^starchat\./, ""), (argument ?? {}) as Argument),
  };
}
