// The server's chats: made, listed, shown, deleted, and one turn of one of them.

import type * as vscode from "vscode";
import { ProgressType } from "vscode-languageclient/node";
import type { Assistant } from "../assistant";
import type { Message, Reference, Summary } from "./messages";

export interface Turn {
  chat: string;
  text: string;
  finishReason: string;
}

/** What comes while a turn is under way. */
export type Piece = { kind: "delta"; text: string } | { kind: "status" | "note"; message: string };

const PIECES = new ProgressType<Piece>();
let turns = 0;

/** Say something, and hear the answer piece by piece; cancelling the token stops the model. */
export async function say(
  assistant: Assistant,
  question: { chat: string; text: string; context: Pick<Reference, "uri" | "range">[]; shorten?: boolean },
  token: vscode.CancellationToken,
  hear: (piece: Piece) => void,
): Promise<Turn> {
  const stream = `vscode-chat-${++turns}`;
  const listening = assistant.running.onProgress(PIECES, stream, hear);
  try {
    return await assistant.request<Turn>("starchat/chat/turn", { ...question, token: stream }, token);
  } finally {
    listening.dispose();
  }
}

/** A new chat; `kept`: whether it lies in the history, and so outlives the server.  That it does not can be asked for. */
export function create(assistant: Assistant, wanted: { kept?: false } = {}): Promise<{ chat: string; kept: boolean }> {
  return assistant.request("starchat/chat/create", wanted);
}

export async function list(assistant: Assistant, search: string): Promise<Summary[]> {
  return (await assistant.request<{ chats: Summary[] }>("starchat/chat/list", { limit: 50, search })).chats;
}

export async function show(assistant: Assistant, chat: string): Promise<{ kept: boolean; messages: Message[] }> {
  const { kept, messages } = await assistant.request<{ kept: boolean; messages: Kept[] }>("starchat/chat/show", { chat });
  return { kept, messages: messages.filter(({ role }) => role !== "system").map(message) };
}

interface Kept {
  role: string;
  content: string;
  attached?: string[];
}

function message({ role, content, attached = [] }: Kept): Message {
  return { role: role === "user" ? "user" : "assistant", text: content, references: attached.map((label) => ({ label })) };
}

export async function remove(assistant: Assistant, chat: string): Promise<void> {
  await assistant.request("starchat/chat/delete", { chat });
}
