// What the palette, menus and keys call: `starchat.editor.VERB` runs the server's `starchat.VERB` where the cursor is.

import * as vscode from "vscode";
import { argumentAt } from "./argument";
import type { Assistant } from "./assistant";
import { run } from "./jobs";
import { discardAll } from "./review";

const PREFIX = "starchat.editor.";

/** Register every `starchat.editor.*` of the manifest. */
export function registerCommands(context: vscode.ExtensionContext, assistant: Assistant): vscode.Disposable {
  const declared = context.extension.packageJSON.contributes.commands as { command: string }[];
  const verbs = declared.map(({ command }) => command).filter((command) => command.startsWith(PREFIX));
  return vscode.Disposable.from(
    ...verbs.map((id) => vscode.commands.registerCommand(id, () => runHere(assistant, id.slice(PREFIX.length)))),
  );
}

async function runHere(assistant: Assistant, verb: string): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  if (verb === "cancel") discardAll();
  if (verb === "cancel" || verb === "retry") {
    await run(assistant, verb, {});
  } else if (verb === "undo") {
    await run(assistant, verb, editor ? { uri: editor.document.uri.toString() } : {});
  } else if (verb === "own") {
    await runOwn(assistant, editor);
  } else if (verb === "commit") {
    await offer((await run(assistant, verb, editor ? { uri: editor.document.uri.toString() } : {}))?.text);
  } else if (editor === undefined) {
    void vscode.window.showInformationMessage("StarChat: Open a file first.");
  } else {
    const argument = await argumentAt(verb, editor);
    if (argument) await run(assistant, verb, argument);
  }
}

/** Choose among the commands that the user has added to the server's. */
async function runOwn(assistant: Assistant, editor: vscode.TextEditor | undefined): Promise<void> {
  const known = await assistant.commands();
  const palette = await vscode.commands.getCommands(true);
  const own = known.filter((verb) => !palette.includes(PREFIX + verb));
  if (own.length === 0) {
    void vscode.window.showInformationMessage("StarChat: There are none yet. A file commands/NAME.md in the server's settings folder makes one.");
    return;
  }
  const verb = await vscode.window.showQuickPick(own, { title: "StarChat", placeHolder: "A command of your own" });
  if (verb) await run(assistant, verb, editor ? await argumentAt(verb, editor) ?? {} : {});
}

/** A commit message is wanted somewhere else than where answers are read. */
async function offer(message: string | undefined): Promise<void> {
  if (message && (await vscode.window.showInformationMessage(`StarChat: ${message.split("\n")[0]}`, "Copy"))) {
    await vscode.env.clipboard.writeText(message);
  }
}
