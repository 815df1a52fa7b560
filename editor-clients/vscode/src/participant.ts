// The editor's own chat, where it has one: `@starchat`, and the model as one to choose.  Editors without these interfaces lose nothing else.

import * as vscode from "vscode";
import type { Assistant } from "./assistant";
import type { Reference } from "./chat/messages";
import { create, remove, say } from "./chat/turns";

const VENDOR = "starchat";

export function registerWithEditor(assistant: Assistant): vscode.Disposable {
  const hasParticipants = typeof vscode.chat?.createChatParticipant === "function";
  const hasProviders = typeof vscode.lm?.registerLanguageModelChatProvider === "function";
  return vscode.Disposable.from(
    ...(hasParticipants ? [vscode.chat.createChatParticipant("starchat.assistant", (...turn) => answer(assistant, ...turn))] : []),
    ...(hasProviders ? [vscode.lm.registerLanguageModelChatProvider(VENDOR, provider(assistant))] : []),
  );
}

/** One turn of `@starchat`; its chat at the server is remembered in the turns before. */
async function answer(
  assistant: Assistant,
  { prompt, references }: vscode.ChatRequest,
  { history }: vscode.ChatContext,
  stream: vscode.ChatResponseStream,
  token: vscode.CancellationToken,
): Promise<vscode.ChatResult> {
  const last = history.findLast((turn) => turn instanceof vscode.ChatResponseTurn);
  const chat = (last?.result.metadata?.["chat"] as string | undefined) ?? (await create(assistant)).chat;
  const context = references.flatMap(({ value }) => contextOf(value));
  await say(assistant, { chat, text: prompt, context }, token, (piece) =>
    piece.kind === "delta" ? stream.markdown(piece.text) : stream.progress(piece.message),
  );
  return { metadata: { chat } };
}

function contextOf(value: unknown): Pick<Reference, "uri" | "range">[] {
  if (value instanceof vscode.Uri) return [{ uri: value.toString() }];
  if (!(value instanceof vscode.Location)) return [];
  const { start, end } = value.range;
  return [{ uri: value.uri.toString(), range: { start: { ...position(start) }, end: { ...position(end) } } }];
}

function position({ line, character }: vscode.Position): { line: number; character: number } {
  return { line, character };
}

function provider(assistant: Assistant): vscode.LanguageModelChatProvider {
  return {
    onDidChangeLanguageModelChatInformation: assistant.onChange,
    provideLanguageModelChatInformation: () => (assistant.life === "running" ? [information(assistant)] : []),
    provideLanguageModelChatResponse: async (_model, messages, _options, progress, token) => {
      const { chat } = await create(assistant);
      try {
        await say(assistant, { chat, text: transcript(messages), context: [] }, token, (piece) => {
          if (piece.kind === "delta") progress.report(new vscode.LanguageModelTextPart(piece.text));
        });
      } finally {
        await remove(assistant, chat);
      }
    },
    provideTokenCount: async (_model, text) => Math.ceil((typeof text === "string" ? text : textOf(text)).length / CHARACTERS_PER_TOKEN),
  };
}

const CHARACTERS_PER_TOKEN = 3;

function information({ status }: Assistant): vscode.LanguageModelChatInformation {
  return {
    id: "starchat",
    name: status.model || "StarChat",
    family: "starchat",
    version: "1",
    maxInputTokens: 4096,
    maxOutputTokens: 2048,
    capabilities: { toolCalling: false },
  };
}

/** The server's chats take one message at a time, so what was said before goes along as text. */
function transcript(messages: readonly vscode.LanguageModelChatRequestMessage[]): string {
  const texts = messages.map((message) => ({ who: message.role === vscode.LanguageModelChatMessageRole.User ? "User" : "Assistant", said: textOf(message) }));
  const last = texts.pop()?.said ?? "";
  return texts.length ? `${texts.map(({ who, said }) => `${who}: ${said}`).join("\n\n")}\n\nUser: ${last}` : last;
}

function textOf({ content }: vscode.LanguageModelChatRequestMessage): string {
  return content.map((part) => (part instanceof vscode.LanguageModelTextPart ? part.value : "")).join("");
}
