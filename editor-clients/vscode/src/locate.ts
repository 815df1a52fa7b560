// Which `assistant-server` is started: the one that the setting names, else the extension's own, else the one on the PATH.

import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, isAbsolute, join, relative } from "node:path";
import * as vscode from "vscode";

export interface Found {
  command: string;
  origin: "setting" | "own environment" | "PATH";
}

const NAME = process.platform === "win32" ? "assistant-server.exe" : "assistant-server";

export async function locate(context: vscode.ExtensionContext, output: vscode.LogOutputChannel): Promise<Found | undefined> {
  const named = vscode.workspace.getConfiguration("starchat").get<string>("server.path", "").trim();
  if (named) {
    return (await ofSetting(named)) ?? complain(named, output);
  }
  const own = join(environmentFolder(context), process.platform === "win32" ? "Scripts" : "bin", NAME);
  if (await canRun(own)) {
    return { command: own, origin: "own environment" };
  }
  return onPath();
}

/** The folder of the environment that the extension makes for itself. */
export function environmentFolder(context: vscode.ExtensionContext): string {
  return join(context.globalStorageUri.fsPath, "environment");
}

async function ofSetting(named: string): Promise<Found | undefined> {
  const command = named.startsWith("~") ? join(homedir(), named.slice(1)) : named;
  return isAbsolute(command) && (await canRun(command)) ? { command, origin: "setting" } : undefined;
}

function complain(named: string, output: vscode.LogOutputChannel): undefined {
  const sentence = `starchat.server.path is “${named}”: there is no program there. Give the absolute path of assistant-server.`;
  output.error(sentence);
  void vscode.window.showErrorMessage(`StarChat: ${sentence}`, "Open Settings").then((choice) => {
    if (choice) void vscode.commands.executeCommand("workbench.action.openSettings", "starchat.server.path");
  });
  return undefined;
}

/** The first on the PATH.  A folder inside the workspace is passed over: what is opened there must not choose what runs. */
async function onPath(): Promise<Found | undefined> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const command = join(folder, NAME);
    if (isAbsolute(folder) && !inWorkspace(folder) && (await canRun(command))) {
      return { command, origin: "PATH" };
    }
  }
  return undefined;
}

function inWorkspace(folder: string): boolean {
  return (vscode.workspace.workspaceFolders ?? []).some(({ uri }) => {
    const inside = relative(uri.fsPath, folder);
    return !inside.startsWith("..") && !isAbsolute(inside);
  });
}

export async function canRun(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
