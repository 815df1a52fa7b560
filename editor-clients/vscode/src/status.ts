// The item in the status bar: which model, what it is doing, and where text goes.

import * as vscode from "vscode";
import type { Assistant, Status } from "./assistant";

interface Look {
  text: string;
  says: string;
  background?: "error" | "warning";
}

export function registerStatusBar(assistant: Assistant): vscode.Disposable {
  const item = vscode.window.createStatusBarItem("starchat.status", vscode.StatusBarAlignment.Right, 90);
  item.name = "StarChat";
  item.command = "starchat.menu";
  const draw = (): void => {
    const look = lookOf(assistant);
    item.text = look.text;
    item.tooltip = tooltip(assistant, look);
    item.accessibilityInformation = { label: `StarChat: ${look.says}` };
    item.backgroundColor = look.background && new vscode.ThemeColor(`statusBarItem.${look.background}Background`);
  };
  draw();
  item.show();
  return vscode.Disposable.from(item, assistant.onChange(draw));
}

function lookOf({ life, status }: Assistant): Look {
  switch (life) {
    case "missing":
      return { text: "$(warning) StarChat: set up", says: "its server is not installed yet", background: "warning" };
    case "starting":
      return { text: "$(loading~spin) StarChat", says: "the server is starting" };
    case "stopped":
      return { text: "$(error) StarChat: stopped", says: "the server has stopped", background: "error" };
    case "running":
      return lookOfModel(status);
  }
}

function lookOfModel(status: Status): Look {
  const name = status.remote ?? (status.model || "StarChat");
  const share = status.progress === undefined ? "" : ` ${Math.round(100 * status.progress)} %`;
  switch (status.state) {
    case "off":
      return { text: "$(sparkle) StarChat", says: "the model starts when you ask for something" };
    case "preparing":
      return { text: `$(loading~spin) StarChat: preparing${share}`, says: `the model is made ready${share}` };
    case "starting":
    case "loading":
      return { text: `$(loading~spin) ${name}: loading${share}`, says: `loading ${name}${share}` };
    case "failed":
      return { text: "$(error) StarChat", says: status.reason ?? "the model failed", background: "error" };
    case "ready":
      return lookOfReady(status, name);
  }
}

function lookOfReady(status: Status, name: string): Look {
  const icon = status.active + status.queued > 0 ? "$(sync~spin)" : status.remote ? "$(cloud)" : "$(sparkle)";
  const waiting = status.queued ? `, ${status.queued} waiting` : "";
  const doing = status.active + status.queued > 0 ? `working on ${status.active}${waiting}` : "ready";
  const where = status.remote ? `. Your code leaves this machine: ${status.remote}` : "";
  return { text: `${icon} ${name}`, says: `${doing}: ${status.model || name}${where}` };
}

function tooltip(assistant: Assistant, look: Look): vscode.MarkdownString {
  const text = new vscode.MarkdownString();
  text.appendMarkdown("**StarChat**\n\n");
  text.appendText(`${look.says.charAt(0).toUpperCase()}${look.says.slice(1)}.`.replace("..", "."));
  if (assistant.origin) {
    text.appendMarkdown("\n\nServer: ").appendText(assistant.origin);
  }
  return text;
}
