// One command of the server, from its start to its end: progress that can be cancelled, and what is said afterwards.

import * as vscode from "vscode";
import {
  ExecuteCommandRequest,
  WorkDoneProgress,
  WorkDoneProgressCancelNotification,
  type LanguageClient,
} from "vscode-languageclient/node";
import type { Argument } from "./argument";
import type { Assistant } from "./assistant";
import { sentence } from "./sentence";

/** How a command ended: the reply to `workspace/executeCommand`. */
export interface Outcome {
  job?: string;
  outcome?: "applied" | "answered" | "no_edit" | "conflict" | "cancelled" | "failed";
  reason?: string;
  text?: string;
  answer?: string;
}

const waiting = new vscode.EventEmitter<void>();
const ended = new vscode.EventEmitter<string | undefined>();

/** Tells the URI of the document about which a command has ended. */
export const onEnd = ended.event;

/** Take the progress of running commands away: it is the user who is waited for now. */
export function waitForUser(): void {
  waiting.fire();
}

/** Run `starchat.VERB`; the reply comes when it has ended. */
export async function run(assistant: Assistant, verb: string, argument: Argument | object): Promise<Outcome | undefined> {
  try {
    const outcome = await withProgress(assistant.running, `starchat.${verb}`, argument);
    tell(assistant, outcome);
    return outcome;
  } catch (error) {
    void vscode.window.showErrorMessage(`StarChat: ${sentence(error)}`);
    return undefined;
  } finally {
    ended.fire("uri" in argument ? (argument.uri as string) : undefined);
  }
}

let jobs = 0;

async function withProgress(client: LanguageClient, command: string, argument: object): Promise<Outcome> {
  const known = client.initializeResult?.capabilities.executeCommandProvider?.commands;
  if (known && !known.includes(command)) {
    throw new Error(`This server does not know “${command}”. Update it, then restart it.`);
  }
  const token = `vscode-${++jobs}`;
  const reply = client.sendRequest<Outcome>(ExecuteCommandRequest.method, {
    command,
    arguments: [argument],
    workDoneToken: token,
  });
  void show(client, token, reply);
  return reply;
}

function show(client: LanguageClient, token: string, reply: Promise<Outcome>): Thenable<void> {
  const options = { location: vscode.ProgressLocation.Notification, title: "StarChat", cancellable: true };
  return vscode.window.withProgress(options, async (progress, cancelled) => {
    let done = 0;
    const subscriptions = [
      client.onProgress(WorkDoneProgress.type, token, (value) => {
        const percentage = value.kind === "report" ? (value.percentage ?? done) : done;
        const title = value.kind === "begin" ? value.title.replace(/^StarChat: /, "") : undefined;
        progress.report({ message: title ?? value.message ?? "", increment: percentage - done });
        done = percentage;
      }),
      cancelled.onCancellationRequested(() =>
        client.sendNotification(WorkDoneProgressCancelNotification.type, { token }),
      ),
    ];
    const asked = new Promise<void>((resolve) => subscriptions.push(waiting.event(resolve)));
    await Promise.race([asked, reply.then(ignore, ignore)]);
    subscriptions.forEach((each) => each.dispose());
  });
}

/** The server itself shows failures and answers; what is left to say is that an edit was made. */
function tell(assistant: Assistant, { outcome, reason }: Outcome): void {
  if (outcome !== "applied") {
    return;
  }
  const said = reason ?? "Applied.";
  if (!said.includes("undo")) {
    vscode.window.setStatusBarMessage(`$(check) StarChat: ${said}`, 4000);
    return;
  }
  void vscode.window.showInformationMessage(`StarChat: ${said}`, "Undo").then((choice) => {
    if (choice) void run(assistant, "undo", {});
  });
}

function ignore(): void {}
