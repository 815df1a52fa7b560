// An environment of the extension's own for the server, made when the user agrees and never inside a project.

import { spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import * as vscode from "vscode";
import type { Assistant } from "./assistant";
import { canRun, environmentFolder } from "./locate";
import { sentence } from "./sentence";

const WINDOWS = process.platform === "win32";

interface Kind extends vscode.QuickPickItem {
  extra: string;
}

const KINDS: readonly Kind[] = [
  { label: "For this machine's processor", description: "downloads about 70 MB", extra: "" },
  { label: "For an NVIDIA GPU", description: "with PyTorch, several GB", extra: "[gpu]" },
];

export function registerSetUp(context: vscode.ExtensionContext, assistant: Assistant): vscode.Disposable {
  return vscode.commands.registerCommand("starchat.setUp", () => setUp(context, assistant));
}

/** Say once in a window that the server is missing. */
export async function offerSetUp(assistant: Assistant): Promise<void> {
  if (assistant.life !== "missing") {
    return;
  }
  const sentence = "StarChat needs its server, assistant-server, and found none on this machine.";
  const choice = await vscode.window.showInformationMessage(sentence, "Set It Up…", "I Have One…");
  if (choice === "Set It Up…") {
    await vscode.commands.executeCommand("starchat.setUp");
  } else if (choice) {
    await vscode.commands.executeCommand("workbench.action.openSettings", "starchat.server.path");
  }
}

async function setUp(context: vscode.ExtensionContext, assistant: Assistant): Promise<void> {
  const folder = environmentFolder(context);
  const kind = await vscode.window.showQuickPick(KINDS, {
    title: "Set up the StarChat server",
    placeHolder: `Makes a Python environment in ${folder}; nothing else is touched`,
  });
  if (kind === undefined) {
    return;
  }
  try {
    await make(context, assistant.output, kind.extra);
    await assistant.restart();
    void vscode.window.showInformationMessage("StarChat: The server is set up.");
  } catch (error) {
    assistant.output.error(String(error));
    const choice = await vscode.window.showErrorMessage(`StarChat: ${sentence(error)}`, "Show Log");
    if (choice) assistant.output.show();
  }
}

async function make(context: vscode.ExtensionContext, output: vscode.LogOutputChannel, extra: string): Promise<void> {
  const [python, wheel] = await Promise.all([findPython(), bundledWheel(context)]);
  const folder = environmentFolder(context);
  const inside = join(folder, WINDOWS ? "Scripts" : "bin", WINDOWS ? "python.exe" : "python");
  await vscode.workspace.fs.createDirectory(context.globalStorageUri);
  const options = { location: vscode.ProgressLocation.Notification, title: "StarChat", cancellable: true };
  await vscode.window.withProgress(options, async (progress, cancelled) => {
    const step = (message: string, program: string, ...words: string[]): Promise<void> => {
      progress.report({ message });
      return call(program, words, context.globalStorageUri.fsPath, output, cancelled);
    };
    await step("Making the environment …", python, "-I", "-m", "venv", "--clear", folder);
    await step("Installing the server …", inside, "-I", "-m", "pip", "install", "--disable-pip-version-check", `${wheel}${extra}`);
  });
}

/** The server's own wheel, which travels with the extension. */
async function bundledWheel(context: vscode.ExtensionContext): Promise<string> {
  const folder = join(context.extensionPath, "dist");
  const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl"));
  if (wheel === undefined) {
    throw new Error("This build of the extension carries no server. Install assistant-server yourself and name it in the settings.");
  }
  return join(folder, wheel);
}

async function findPython(): Promise<string> {
  const named = vscode.workspace.getConfiguration("starchat").get<string>("server.python", "").trim();
  const names = ["python3.13", "python3.12", "python3.11", "python3", "python"].map((name) => (WINDOWS ? `${name}.exe` : name));
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter(isAbsolute);
  const candidates = named ? [named] : names.flatMap((name) => folders.map((folder) => join(folder, name)));
  for (const candidate of candidates) {
    if ((await canRun(candidate)) && (await succeeds(candidate, "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"))) {
      return candidate;
    }
  }
  throw new Error("No Python 3.11 or newer with its venv module was found. Install one, or name one in starchat.server.python.");
}

function succeeds(python: string, code: string): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(python, ["-I", "-c", code], { stdio: "ignore", cwd: tmpdir() });
    child.on("error", () => resolve(false));
    child.on("close", (status) => resolve(status === 0));
  });
}

/** Run a program to its end; what it says goes to the log. */
function call(
  program: string,
  words: string[],
  cwd: string,
  output: vscode.LogOutputChannel,
  cancelled: vscode.CancellationToken,
): Promise<void> {
  return new Promise((resolve, reject) => {
    output.info(`${program} ${words.join(" ")}`);
    const child = spawn(program, words, { cwd });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (data: Buffer) => output.info(data.toString().trimEnd()));
    }
    cancelled.onCancellationRequested(() => child.kill());
    child.on("error", reject);
    child.on("close", (status) => {
      if (status === 0) resolve();
      else reject(new Error(cancelled.isCancellationRequested ? "Stopped." : "The server could not be installed; the log says why."));
    });
  });
}
