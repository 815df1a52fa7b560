// What a click on the status bar offers.

import * as vscode from "vscode";
import type { Assistant } from "./assistant";

interface Choice extends vscode.QuickPickItem {
  command: string;
  argument?: string;
}

export function registerMenu(assistant: Assistant): vscode.Disposable {
  return vscode.commands.registerCommand("starchat.menu", async () => {
    const choice = await vscode.window.showQuickPick(choices(assistant), { title: "StarChat" });
    if (choice) await vscode.commands.executeCommand(choice.command, ...(choice.argument ? [choice.argument] : []));
  });
}

function choices({ life, status }: Assistant): Choice[] {
  const missing: Choice[] = [{ label: "$(cloud-download) Set up the server…", command: "starchat.setUp" }];
  const busy: Choice[] = [{ label: "$(debug-stop) Stop what is running", command: "starchat.editor.cancel" }];
  return [
    ...(life === "missing" ? missing : []),
    ...(status.active + status.queued > 0 ? busy : []),
    { label: "$(comment-discussion) Open chat", command: "starchat.chat.open" },
    { label: "$(debug-restart) Restart server", command: "starchat.restart" },
    { label: "$(server) Choose a model…", command: "workbench.action.openSettings", argument: "starchat.model" },
    { label: "$(gear) Settings", command: "workbench.action.openSettings", argument: "@ext:starchat.starchat-assistant" },
    { label: "$(output) Show log", command: "starchat.showLog" },
  ];
}
