// The chat view and its commands.

import * as vscode from "vscode";
import type { Assistant } from "../assistant";
import { selected, wholeFile } from "./references";
import { ChatView } from "./view";

export function registerChat(context: vscode.ExtensionContext, assistant: Assistant): vscode.Disposable {
  const view = new ChatView(context.extensionUri, assistant);
  const command = (name: string, act: (uri?: vscode.Uri) => unknown): vscode.Disposable =>
    vscode.commands.registerCommand(`starchat.chat.${name}`, act);
  return vscode.Disposable.from(
    vscode.window.registerWebviewViewProvider("starchat.chat", view),
    command("open", () => view.open()),
    command("stop", () => view.stop()),
    command("new", async () => {
      view.begin();
      await view.open();
    }),
    command("list", async () => {
      await view.open();
      await view.list();
    }),
    command("addSelection", () => view.add(selected())),
    command("addFile", (uri) => (uri instanceof vscode.Uri ? view.add(wholeFile(uri)) : view.addFiles())),
  );
}
